//! Arrays for numpy: `.npy` version 1 inside an uncompressed zip, as `numpy.savez` writes them.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ndarray::ArrayView2;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::store::file::write_atomic_with;

/// One array, written in numpy's file format.
pub(super) enum Npy<'a> {
    /// A matrix of f32, row-major.
    MatrixF32(ArrayView2<'a, f32>),
    /// Whole numbers.
    Integers(&'a [i32]),
    /// Text, as numpy's fixed-width UCS-4.
    Strings(&'a [String]),
}

impl Npy<'_> {
    /// Characters of the longest text; numpy has no width of 0.
    fn width(items: &[String]) -> usize {
        items.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1)
    }

    /// Size of the data, in bytes.
    fn n_bytes(&self) -> usize {
        match self {
            Self::MatrixF32(values) => values.len() * 4,
            Self::Integers(values) => values.len() * 4,
            Self::Strings(items) => items.len() * Self::width(items) * 4,
        }
    }

    /// Written value by value: a copy in memory would double the embeddings.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::MatrixF32(values) => {
                let (rows, cols) = values.dim();
                out.write_all(&header("<f4", &format!("({rows}, {cols})")))?;
                values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))
            }
            Self::Integers(values) => {
                out.write_all(&header("<i4", &format!("({},)", values.len())))?;
                values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))
            }
            Self::Strings(items) => {
                let width = Self::width(items);
                out.write_all(&header(&format!("<U{width}"), &format!("({},)", items.len())))?;
                items.iter().try_for_each(|item| {
                    let mut chars = item.chars().map(u32::from).chain(std::iter::repeat(0)).take(width);
                    chars.try_for_each(|c| out.write_all(&c.to_le_bytes()))
                })
            }
        }
    }
}

/// Magic, version 1.0, and the description, padded so that the data begin at a multiple of 64.
fn header(dtype: &str, shape: &str) -> Vec<u8> {
    let mut text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    let unpadded = 10 + text.len() + 1;
    text.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}

/// Writes named arrays; whole or not at all.
pub(super) fn write_npz(path: &Path, arrays: &[(&str, Npy<'_>)]) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    write_atomic_with(path, |out| {
        let mut zip = ZipWriter::new(BufWriter::new(out));
        for (name, array) in arrays {
            let large = array.n_bytes() > u32::MAX as usize / 2;
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
            zip.start_file(format!("{name}.npy"), options)?;
            let mut buffered = BufWriter::with_capacity(1 << 16, &mut zip);
            array.write(&mut buffered)?;
            buffered.flush()?;
        }
        zip.finish()?.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_begin_at_a_multiple_of_64() {
        for shape in ["(1, 2)", "(20000, 1280)", "(3,)"] {
            let bytes = header("<f4", shape);
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])) + 10, bytes.len());
        }
    }
}
