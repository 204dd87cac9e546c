//! Pictures that a test has made, as files.

/// A picture as a file of BMP.
pub fn bitmap(image: &graft::image::Rgb8Image) -> Vec<u8> {
    let (width, height) = (image.width_px() as usize, image.height_px() as usize);
    let row_len = (width * 3).next_multiple_of(4);
    let mut bytes = b"BM".to_vec();
    for value in [54 + row_len * height, 0, 54, 40, width, height] {
        bytes.extend((value as u32).to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for row in image.pixels().chunks_exact(width * 3).rev() {
        let mut stored: Vec<u8> = row.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
        stored.resize(row_len, 0);
        bytes.extend(stored);
    }
    bytes
}
