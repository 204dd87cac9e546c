//! Inner loops of the resampling: portable, and AVX2 where the processor has it.
//!
//! A weight has 23 bits and a sign. The AVX2 loop of the horizontal pass splits it into `high * 2^11 + low`, so that
//! both halves fit 16 bits and one instruction multiplies and adds pairs of pixels; the sums are put together at the
//! end and equal those of the portable loop exactly.

use super::{PRECISION_BITS, Weights};
use std::ops::Range;

/// Source pixels that the AVX2 loop takes at once.
pub(super) const TAPS: usize = 4;
/// Bytes that it may read behind a row's last pixel.
const OVERREAD: usize = 16;
const LOW_BITS: u32 = 11;
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// Bytes of a row that the vertical pass keeps in registers.
const BLOCK: usize = 32;

/// Which implementation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// Plain Rust, vectorised by the compiler for the target's baseline.
    Portable,
    /// Needs AVX2; only [`Kernel::detect`] makes it.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Token),
}

impl Kernel {
    /// The fastest that this processor runs.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = avx2::Token::detect() {
            return Self::Avx2(token);
        }
        Self::Portable
    }
}

/// Weights as pairs of 16-bit halves: `u32`s of an even (low 16 bits) and an odd tap (high 16 bits), for four taps the
/// two pairs of high halves and then the two pairs of low halves.
#[derive(Debug)]
pub(super) struct SplitWeights {
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only the AVX2 loop reads them"))]
    quads: Vec<[u64; 2]>,
}

impl SplitWeights {
    /// Splits weights whose number is a multiple of [`TAPS`].
    pub(super) fn new(values: &[i32]) -> Self {
        if !cfg!(target_arch = "x86_64") {
            return Self { quads: Vec::new() };
        }
        let pack = |quad: &[i32], half: fn(i32) -> i32| {
            quad.iter().rev().fold(0u64, |packed, &value| packed << 16 | u64::from(half(value) as u16))
        };
        let high = |value: i32| value >> LOW_BITS;
        let low = |value: i32| value & ((1 << LOW_BITS) - 1);
        Self { quads: values.chunks_exact(TAPS).map(|quad| [pack(quad, high), pack(quad, low)]).collect() }
    }
}

/// Resamples the rows `source_rows` of `pixels`, `row_len` bytes each; `out` takes them one below the other.
pub(super) fn horizontal(
    kernel: Kernel,
    pixels: &[u8],
    row_len: usize,
    source_rows: Range<usize>,
    columns: &Weights,
    out: &mut [u8],
    padded: &mut Vec<u8>,
) {
    let out_len = columns.windows.len() * 3;
    match kernel {
        Kernel::Portable => {
            for (y, out) in source_rows.zip(out.chunks_exact_mut(out_len)) {
                horizontal_row(&pixels[y * row_len..][..row_len], columns, out);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(token) => {
            const ROWS: usize = avx2::ROWS;
            let read_len = row_len + OVERREAD;
            for (first, out) in source_rows.clone().step_by(ROWS).zip(out.chunks_mut(out_len * ROWS)) {
                let n_rows = ROWS.min(source_rows.end - first);
                let start = first * row_len;
                // Only the last rows lack bytes behind them; they move to a place that has some.
                let (pixels, start) = if n_rows == ROWS && start + row_len * (ROWS - 1) + read_len <= pixels.len() {
                    (pixels, start)
                } else {
                    padded.clear();
                    padded.extend_from_slice(&pixels[start..start + row_len * n_rows]);
                    padded.resize(row_len * ROWS + OVERREAD, 0);
                    (padded.as_slice(), 0)
                };
                let rows: [&[u8]; ROWS] = std::array::from_fn(|i| &pixels[start + i * row_len..][..read_len]);
                token.horizontal_rows(rows, columns, n_rows, out);
            }
        }
    }
}

/// Resamples columns: `between` holds rows of `row_len` bytes from source row `first_row` on.
pub(super) fn vertical(
    kernel: Kernel,
    between: &[u8],
    row_len: usize,
    first_row: usize,
    rows: &Weights,
    out: &mut [u8],
) {
    for (i, (&(start, n), out)) in rows.windows.iter().zip(out.chunks_exact_mut(row_len)).enumerate() {
        let weights = &rows.values[i * rows.stride..][..n];
        let source = &between[(start - first_row) * row_len..][..n * row_len];
        match kernel {
            Kernel::Portable => vertical_row(source, weights, out),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(token) => token.vertical_row(source, weights, out),
        }
    }
}

fn to_u8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

fn horizontal_row(row: &[u8], columns: &Weights, out: &mut [u8]) {
    for (i, (&(start, n), out)) in columns.windows.iter().zip(out.chunks_exact_mut(3)).enumerate() {
        let mut sums = [HALF; 3];
        let weights = &columns.values[i * columns.stride..][..n];
        for (pixel, weight) in row[start * 3..(start + n) * 3].chunks_exact(3).zip(weights) {
            for c in 0..3 {
                sums[c] += i32::from(pixel[c]) * weight;
            }
        }
        for c in 0..3 {
            out[c] = to_u8(sums[c]);
        }
    }
}

/// One row of the result from the rows of `source`, block by block so that the sums stay in registers.
#[inline(always)]
fn vertical_row(source: &[u8], weights: &[i32], out: &mut [u8]) {
    let row_len = out.len();
    let mut blocks = out.chunks_exact_mut(BLOCK);
    let mut at = 0;
    for out in blocks.by_ref() {
        let mut sums = [HALF; BLOCK];
        for (row, weight) in source.chunks_exact(row_len).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(&row[at..at + BLOCK]) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = to_u8(sum);
        }
        at += BLOCK;
    }
    for (i, out) in blocks.into_remainder().iter_mut().enumerate() {
        let rows = source.chunks_exact(row_len).zip(weights);
        *out = to_u8(rows.fold(HALF, |sum, (row, weight)| sum + i32::from(row[at + i]) * weight));
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{HALF, LOW_BITS, PRECISION_BITS, Weights};
    use std::arch::x86_64::*;

    /// Rows that share one reading of the weights.
    pub(crate) const ROWS: usize = 4;

    /// Proof that the processor has AVX2: its only constructor asks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Token(());

    impl Token {
        pub(crate) fn detect() -> Option<Self> {
            is_x86_feature_detected!("avx2").then_some(Self(()))
        }

        pub(crate) fn horizontal_rows(self, rows: [&[u8]; ROWS], columns: &Weights, n_rows: usize, out: &mut [u8]) {
            #[allow(unsafe_code, reason = "a safe function but for its target feature, which `detect` found")]
            unsafe {
                horizontal_rows(rows, columns, n_rows, out);
            }
        }

        pub(crate) fn vertical_row(self, source: &[u8], weights: &[i32], out: &mut [u8]) {
            #[allow(unsafe_code, reason = "a safe function but for its target feature, which `detect` found")]
            unsafe {
                vertical_row(source, weights, out);
            }
        }
    }

    #[target_feature(enable = "avx2")]
    fn vertical_row(source: &[u8], weights: &[i32], out: &mut [u8]) {
        super::vertical_row(source, weights, out);
    }

    /// `rows` have `OVERREAD` bytes behind their last pixel; `out` takes the first `n_rows`.
    #[target_feature(enable = "avx2")]
    fn horizontal_rows(rows: [&[u8]; ROWS], columns: &Weights, n_rows: usize, out: &mut [u8]) {
        // Of 16 bytes (r0 g0 b0 r1 ...) makes the 16-bit pairs r0 r1, g0 g1, b0 b1, 0 0 | r2 r3, g2 g3, b2 b3, 0 0.
        const N: i8 = -128;
        let spread = _mm256_setr_epi8(
            0, N, 3, N, 1, N, 4, N, 2, N, 5, N, N, N, N, N, //
            6, N, 9, N, 7, N, 10, N, 8, N, 11, N, N, N, N, N,
        );
        // Brings the first pair of weights to the lower lane and the second to the upper one.
        let lanes = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
        let out_len = columns.windows.len() * 3;
        let quads_stride = columns.stride / super::TAPS;
        for (i, &(start, n)) in columns.windows.iter().enumerate() {
            let quads = &columns.split.quads[i * quads_stride..][..n.div_ceil(super::TAPS)];
            let mut high = [_mm256_setzero_si256(); ROWS];
            let mut low = [_mm256_setzero_si256(); ROWS];
            let mut at = start * 3;
            for quad in quads {
                let weights_high = _mm256_permutevar8x32_epi32(_mm256_set1_epi64x(quad[0] as i64), lanes);
                let weights_low = _mm256_permutevar8x32_epi32(_mm256_set1_epi64x(quad[1] as i64), lanes);
                for r in 0..ROWS {
                    let pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load(&rows[r][at..at + 16])), spread);
                    high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pixels, weights_high));
                    low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pixels, weights_low));
                }
                at += 3 * super::TAPS;
            }
            for r in 0..n_rows {
                let sums = _mm256_add_epi32(_mm256_slli_epi32::<{ LOW_BITS as i32 }>(high[r]), low[r]);
                let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
                let sums = _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(_mm_add_epi32(sums, _mm_set1_epi32(HALF)));
                // Both packings saturate, the second one to 0..=255.
                let words = _mm_packs_epi32(sums, sums);
                let bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words)).to_le_bytes();
                out[r * out_len + i * 3..][..3].copy_from_slice(&bytes[..3]);
            }
        }
    }

    /// 16 bytes as a register.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8]) -> __m128i {
        let half = |from: usize| {
            let mut eight = [0u8; 8];
            eight.copy_from_slice(&bytes[from..from + 8]);
            i64::from_le_bytes(eight)
        };
        _mm_set_epi64x(half(8), half(0))
    }
}
