//! Numbers: bytes as numbers and back, where they lie.
#![allow(unsafe_code)]

use std::slice;

use crate::errors::NotNumbers;

/// A plain number: no padding, no value that its bytes could not have.
pub trait Number: sealed::Sealed + Copy + Default + Send + Sync + 'static {}

mod sealed {
    /// # Safety
    /// The type has neither padding nor invalid values, nor anything that may change behind `&`.
    #[allow(unreachable_pub)]
    pub unsafe trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        // SAFETY: a primitive number; any bytes are one, and all of its bytes are its value.
        // Covered by `tests::bytes_are_numbers_and_back`.
        unsafe impl sealed::Sealed for $number {}
        impl Number for $number {}
    )*};
}

numbers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }

/// The numbers that these bytes are, in the byte order of this machine.
///
/// ```
/// use manyhands_shm::{as_bytes, as_numbers};
///
/// let bytes = as_bytes(&[1.5_f64, 2.5]);
/// assert_eq!(bytes.len(), 16);
/// assert_eq!(as_numbers::<f64>(bytes)?, [1.5, 2.5]);
/// # Ok::<(), manyhands_shm::NotNumbers>(())
/// ```
///
/// # Errors
/// If their length is no multiple of the number's, or they are not aligned for it.
pub fn as_numbers<T: Number>(bytes: &[u8]) -> Result<&[T], NotNumbers> {
    let count = count::<T>(bytes)?;
    // SAFETY: `count` has checked address and length; any bytes are numbers (`Sealed`), and both
    // slices only read. Covered by `tests::bytes_are_numbers_and_back`.
    Ok(unsafe { slice::from_raw_parts(start::<T>(bytes), count) })
}

/// The numbers that these bytes are, to be changed.
///
/// # Errors
/// As [`as_numbers`].
pub fn as_numbers_mut<T: Number>(bytes: &mut [u8]) -> Result<&mut [T], NotNumbers> {
    let count = count::<T>(bytes)?;
    let start = if count == 0 { std::ptr::dangling_mut() } else { bytes.as_mut_ptr().cast() };
    // SAFETY: `count` has checked address and length; any bytes are numbers and the other way
    // round (`Sealed`), and the exclusive borrow passes on. Covered by `tests::numbers_are_changed`.
    Ok(unsafe { slice::from_raw_parts_mut(start, count) })
}

/// The bytes of these numbers, in the byte order of this machine.
pub fn as_bytes<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: the same memory, of which each byte is part of a number (`Sealed`); bytes need no
    // alignment. Covered by `tests::bytes_are_numbers_and_back`.
    unsafe { slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The bytes of these numbers, to be changed.
pub fn as_bytes_mut<T: Number>(numbers: &mut [T]) -> &mut [u8] {
    let len = size_of_val(numbers);
    // SAFETY: as for `as_bytes`, with the exclusive borrow passed on; whatever is written is some
    // number (`Sealed`). Covered by `tests::numbers_are_changed`.
    unsafe { slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), len) }
}

/// How many numbers these bytes are.
fn count<T: Number>(bytes: &[u8]) -> Result<usize, NotNumbers> {
    let (len, size, align) = (bytes.len(), size_of::<T>(), align_of::<T>());
    if !len.is_multiple_of(size) {
        return Err(NotNumbers::Length { len, size });
    }
    // Nothing lies nowhere, and so it is aligned.
    if len > 0 && !bytes.as_ptr().addr().is_multiple_of(align) {
        return Err(NotNumbers::Alignment { align });
    }
    Ok(len / size)
}

/// Where the numbers begin: of none, anywhere that is aligned.
fn start<T: Number>(bytes: &[u8]) -> *const T {
    if bytes.is_empty() { std::ptr::dangling() } else { bytes.as_ptr().cast() }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{NotNumbers, Number, as_bytes, as_bytes_mut, as_numbers, as_numbers_mut};

    fn there_and_back<T: Number + PartialEq + std::fmt::Debug>(numbers: [T; 3]) {
        let bytes = as_bytes(&numbers);
        assert_eq!(bytes.len(), 3 * size_of::<T>());
        assert_eq!(as_numbers::<T>(bytes), Ok(numbers.as_slice()));
        assert_eq!(as_numbers::<T>(&[]), Ok([].as_slice()));
        if size_of::<T>() > 1 {
            let (len, size, align) = (bytes.len() - 1, size_of::<T>(), align_of::<T>());
            assert_eq!(as_numbers::<T>(&bytes[1..]), Err(NotNumbers::Length { len, size }));
            let beside = &bytes[1..=2 * size_of::<T>()];
            assert_eq!(as_numbers::<T>(beside), Err(NotNumbers::Alignment { align }));
            assert_eq!(as_numbers::<T>(&bytes[1..1]), Ok([].as_slice()));
        }
    }

    #[test]
    fn bytes_are_numbers_and_back() {
        there_and_back([0_u8, 1, u8::MAX]);
        there_and_back([0_i8, 1, i8::MIN]);
        there_and_back([0_u16, 1, u16::MAX]);
        there_and_back([0_i16, 1, i16::MIN]);
        there_and_back([0_u32, 1, u32::MAX]);
        there_and_back([0_i32, 1, i32::MIN]);
        there_and_back([0_u64, 1, u64::MAX]);
        there_and_back([0_i64, 1, i64::MIN]);
        there_and_back([0_u128, 1, u128::MAX]);
        there_and_back([0_i128, 1, i128::MIN]);
        there_and_back([0_usize, 1, usize::MAX]);
        there_and_back([0_isize, 1, isize::MIN]);
        there_and_back([0.0_f32, 1.5, f32::MIN]);
        there_and_back([0.0_f64, 1.5, f64::MIN]);
    }

    #[test]
    fn numbers_are_changed() -> Result<(), NotNumbers> {
        let mut numbers = [0_u32; 2];
        as_bytes_mut(&mut numbers)[..4].copy_from_slice(&7_u32.to_ne_bytes());
        as_numbers_mut::<u32>(as_bytes_mut(&mut numbers))?[1] = 8;
        assert_eq!(numbers, [7, 8]);
        assert!(as_numbers_mut::<u32>(&mut [])?.is_empty());
        assert!(as_numbers_mut::<u32>(&mut as_bytes_mut(&mut numbers)[1..5]).is_err());
        Ok(())
    }
}
