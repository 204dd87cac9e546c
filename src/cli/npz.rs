//! Arrays for numpy: `.npy` version 1 inside an uncompressed zip, as `numpy.savez` writes them.

use std::fs;
use std::io::{self, Cursor, Write};
use std::path::Path;

use ndarray::ArrayView2;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::store::file::write_atomic;

/// One array in numpy's file format.
pub(super) struct Npy {
    bytes: Vec<u8>,
}

impl Npy {
    /// A matrix of f32, row-major.
    pub(super) fn matrix_f32(values: ArrayView2<'_, f32>) -> Self {
        let (rows, cols) = values.dim();
        let mut bytes = header("<f4", &format!("({rows}, {cols})"));
        bytes.reserve(rows * cols * 4);
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        Self { bytes }
    }

    /// Text, as numpy's fixed-width UCS-4.
    pub(super) fn strings(items: &[String]) -> Self {
        let width = items.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1);
        let mut bytes = header(&format!("<U{width}"), &format!("({},)", items.len()));
        bytes.reserve(items.len() * width * 4);
        for item in items {
            let chars = item.chars().map(u32::from).chain(std::iter::repeat(0)).take(width);
            bytes.extend(chars.flat_map(u32::to_le_bytes));
        }
        Self { bytes }
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
pub(super) fn write_npz(path: &Path, arrays: &[(&str, Npy)]) -> io::Result<()> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let large = array.bytes.len() > u32::MAX as usize;
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(&array.bytes)?;
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    write_atomic(path, &zip.finish()?.into_inner())
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
