//! Numbers in sentences.

/// `1 image`, `1,234 images`.
pub fn n_images(n: usize) -> String {
    if n == 1 { "1 image".to_owned() } else { format!("{} images", thousands(n)) }
}

/// `1,234,567`.
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(n), text);
        }
        assert_eq!((n_images(1), n_images(1204)), ("1 image".to_owned(), "1,204 images".to_owned()));
    }
}
