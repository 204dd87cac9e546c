//! Matrix products through `gemm`, behind a safe and checked front.

use gemm::{Parallelism, gemm};
use ndarray::{ArrayView2, ArrayViewMut2};

/// Element types that `gemm` multiplies and that heads use.
pub(super) trait Element: Copy + 'static {
    const ZERO: Self;
    const ONE: Self;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

/// What becomes of the destination's old content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// `dst = a b`
    Overwrite,
    /// `dst = dst + a b`
    Add,
    /// `dst = dst - a b`
    Subtract,
}

/// Product of `a` `[m, k]` and `b` `[k, n]` into `dst` `[m, n]`, any strides, on the calling thread.
///
/// One thread on purpose: callers split the work at fixed places, so that results do not depend on the thread count.
pub(super) fn product<T: Element + std::ops::Neg<Output = T>>(
    mut dst: ArrayViewMut2<'_, T>,
    update: Update,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
) {
    let (m, k) = a.dim();
    let (k_of_b, n) = b.dim();
    assert_eq!(k, k_of_b, "inner sizes of a product");
    assert_eq!(dst.dim(), (m, n), "destination of a product");
    if m == 0 || n == 0 {
        return;
    }
    let (dst_rs, dst_cs) = (dst.strides()[0], dst.strides()[1]);
    let beta = if update == Update::Subtract { -T::ONE } else { T::ONE };
    let alpha = if update == Update::Overwrite { T::ZERO } else { T::ONE };
    #[allow(
        unsafe_code,
        reason = "gemm takes raw pointers; sizes are checked above, strides come from the views that own the memory, and \
                  the mutable view cannot overlap the shared ones"
    )]
    // SAFETY: see the reason above; `gemm` touches exactly the elements that the three views cover.
    unsafe {
        gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            dst_cs,
            dst_rs,
            update != Update::Overwrite,
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            alpha,
            beta,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn follows_strides_and_update_modes() {
        let a = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let b = array![[1.0f32, 0.0, 2.0], [0.0, 1.0, -1.0]];
        let mut dst = Array2::from_elem((2, 2), 9.0f32);
        product(dst.view_mut(), Update::Overwrite, a.view(), b.t());
        assert_eq!(dst, array![[7.0, -1.0], [16.0, -1.0]]);
        product(dst.view_mut(), Update::Add, a.view(), b.t());
        assert_eq!(dst, array![[14.0, -2.0], [32.0, -2.0]]);
        let mut transposed = Array2::<f32>::zeros((2, 2));
        product(transposed.view_mut().reversed_axes(), Update::Subtract, a.view(), b.t());
        assert_eq!(transposed, array![[-7.0, -16.0], [1.0, 1.0]]);
    }

    #[test]
    fn an_empty_inner_size_gives_zeros() {
        let mut dst = Array2::from_elem((2, 2), 9.0f64);
        product(dst.view_mut(), Update::Overwrite, Array2::zeros((2, 0)).view(), Array2::zeros((0, 2)).view());
        assert_eq!(dst, Array2::<f64>::zeros((2, 2)));
    }
}
