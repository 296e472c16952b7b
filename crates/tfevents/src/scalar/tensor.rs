//! A tensor of one element, read as the number it is.

use half::{bf16, f16};

use super::Kind;
use super::wire::{Field, Fields};
use crate::proto::{DataType, TensorProto};
use crate::units::MetricValue;

/// The number that `tensor` holds, where it has exactly one element, of a numeric type, and a value for it; otherwise
/// what it holds instead.
///
/// A shape of `[]`, `[1]` or `[1, 1]` has one element; an absent shape counts as `[]`. A tensor that
/// gives no value is not read as 0.
pub(super) fn scalar(tensor: &TensorProto) -> Result<MetricValue, Kind> {
    let dtype = DataType::try_from(tensor.dtype);
    if dtype == Ok(DataType::DtString) {
        return Err(Kind::Text);
    }
    if let Some(shape) = &tensor.tensor_shape
        && (shape.unknown_rank || shape.dim.iter().any(|dim| dim.size != 1))
    {
        return Err(Kind::Tensor);
    }
    let Ok(dtype) = dtype else { return Err(Kind::Unread) };
    if matches!(dtype, DataType::DtComplex64 | DataType::DtComplex128) {
        return Err(Kind::Complex);
    }
    let number = if tensor.tensor_content.is_empty() {
        from_list(dtype, tensor)
    } else {
        from_bytes(dtype, &tensor.tensor_content)
    };
    number.ok_or(Kind::Unread)
}

/// Scans an encoded tensor for the most common of all: one float32, no dimension, in
/// `tensor_content` or in `float_val`. `None` where the full decode is to be asked.
pub(super) fn scan_float(bytes: &[u8]) -> Option<f32> {
    let mut fields = Fields(bytes);
    let (mut dtype, mut value) = (None, None);
    while let Some(field) = fields.next()? {
        match field {
            Field::Varint(1, code) if dtype.is_none() => dtype = Some(code),
            Field::Bytes(2, []) => {}
            Field::Bytes(4 | 5, bytes) if value.is_none() => {
                value = Some(f32::from_le_bytes(bytes.try_into().ok()?));
            }
            _ => return None,
        }
    }
    value.filter(|_| dtype == Some(DataType::DtFloat as u64))
}

fn from_bytes(dtype: DataType, bytes: &[u8]) -> Option<MetricValue> {
    use MetricValue::{F32, F64, I64, U64};
    match dtype {
        DataType::DtFloat => bytes.try_into().ok().map(|b| F32(f32::from_le_bytes(b))),
        DataType::DtDouble => bytes.try_into().ok().map(|b| F64(f64::from_le_bytes(b))),
        DataType::DtHalf | DataType::DtBfloat16 => {
            bytes.try_into().ok().map(|b| F32(sixteen_bits(dtype, u16::from_le_bytes(b))))
        }
        DataType::DtFloat8E5m2 | DataType::DtFloat8E4m3fn => match bytes {
            [byte] => Some(F32(eight_bits(dtype, *byte))),
            _ => None,
        },
        DataType::DtInt8 | DataType::DtQint8 => {
            bytes.try_into().ok().map(|b| I64(i8::from_le_bytes(b).into()))
        }
        DataType::DtInt16 | DataType::DtQint16 => {
            bytes.try_into().ok().map(|b| I64(i16::from_le_bytes(b).into()))
        }
        DataType::DtInt32 | DataType::DtQint32 => {
            bytes.try_into().ok().map(|b| I64(i32::from_le_bytes(b).into()))
        }
        DataType::DtInt64 => bytes.try_into().ok().map(|b| I64(i64::from_le_bytes(b))),
        DataType::DtBool => match bytes {
            [byte] => Some(I64(i64::from(*byte != 0))),
            _ => None,
        },
        DataType::DtUint8 | DataType::DtQuint8 => {
            bytes.try_into().ok().map(|b| U64(u8::from_le_bytes(b).into()))
        }
        DataType::DtUint16 | DataType::DtQuint16 => {
            bytes.try_into().ok().map(|b| U64(u16::from_le_bytes(b).into()))
        }
        DataType::DtUint32 => bytes.try_into().ok().map(|b| U64(u32::from_le_bytes(b).into())),
        DataType::DtUint64 => bytes.try_into().ok().map(|b| U64(u64::from_le_bytes(b))),
        DataType::DtInvalid | DataType::DtString | DataType::DtComplex64 | DataType::DtComplex128 => None,
    }
}

fn from_list(dtype: DataType, tensor: &TensorProto) -> Option<MetricValue> {
    use MetricValue::{F32, F64, I64, U64};
    match dtype {
        DataType::DtFloat => only(&tensor.float_val).map(F32),
        DataType::DtDouble => only(&tensor.double_val).map(F64),
        DataType::DtHalf | DataType::DtBfloat16 => of_half_val(dtype, only(&tensor.half_val)?).map(F32),
        DataType::DtFloat8E5m2 | DataType::DtFloat8E4m3fn => {
            only(&tensor.float8_val).map(|byte| F32(eight_bits(dtype, byte)))
        }
        DataType::DtInt8
        | DataType::DtInt16
        | DataType::DtInt32
        | DataType::DtQint8
        | DataType::DtQint16
        | DataType::DtQint32 => only(&tensor.int_val).map(|v| I64(v.into())),
        DataType::DtUint8 | DataType::DtUint16 | DataType::DtQuint8 | DataType::DtQuint16 => {
            match only(&tensor.int_val) {
                Some(v) => u64::try_from(v).ok().map(U64),
                // So PyTorch writes uint8.
                None => only(&tensor.uint32_val).map(|v| U64(v.into())),
            }
        }
        DataType::DtInt64 => only(&tensor.int64_val).map(I64),
        DataType::DtBool => only(&tensor.bool_val).map(|v| I64(v.into())),
        DataType::DtUint32 => only(&tensor.uint32_val).map(|v| U64(v.into())),
        DataType::DtUint64 => only(&tensor.uint64_val).map(U64),
        DataType::DtInvalid | DataType::DtString | DataType::DtComplex64 | DataType::DtComplex128 => None,
    }
}

fn only<T: Copy>(values: &[T]) -> Option<T> {
    match values {
        [value] => Some(*value),
        _ => None,
    }
}

fn sixteen_bits(dtype: DataType, bits: u16) -> f32 {
    if dtype == DataType::DtBfloat16 { bf16::from_bits(bits).to_f32() } else { f16::from_bits(bits).to_f32() }
}

/// The number in `half_val`: the 16 bits of its type, or the 32 bits of the float32 that it is, as PyTorch's `add_tensor`
/// writes it (`half_to_int` in torch/utils/tensorboard/summary.py). 0 is the same in both; of any other number of these
/// types the 32 bits are more than 16 hold.
fn of_half_val(dtype: DataType, value: i32) -> Option<f32> {
    if let Ok(bits) = u16::try_from(value) {
        return Some(sixteen_bits(dtype, bits));
    }
    let number = f32::from_bits(value.cast_unsigned());
    let is_of_type = if number.is_nan() {
        // 16 bits that were widened with their sign would be another NaN.
        value.trailing_zeros() >= 16
    } else if dtype == DataType::DtBfloat16 {
        bf16::from_f32(number).to_f32() == number
    } else {
        f16::from_f32(number).to_f32() == number
    };
    is_of_type.then_some(number)
}

/// The two 8-bit formats of "FP8 Formats for Deep Learning" (Micikevicius et al., 2022).
fn eight_bits(dtype: DataType, byte: u8) -> f32 {
    if dtype == DataType::DtFloat8E5m2 {
        // The upper half of a half-precision float.
        return f16::from_bits(u16::from(byte) << 8).to_f32();
    }
    // One sign bit, four of exponent (bias 7), three of mantissa; no infinity, one NaN a sign.
    let sign = if byte & 0x80 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(byte >> 3 & 0xf);
    let mantissa = f32::from(byte & 7) / 8.0;
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2_f32.powi(-6),
        _ => (1.0 + mantissa) * 2_f32.powi(exponent - 7),
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{TensorShapeProto, tensor_shape_proto::Dim};
    use MetricValue::{F32, F64, I64, U64};

    fn bytes(dtype: DataType, content: &[u8]) -> TensorProto {
        TensorProto { dtype: dtype as i32, tensor_content: content.to_vec(), ..Default::default() }
    }

    fn shaped(sizes: &[i64]) -> TensorProto {
        let dim = sizes.iter().map(|size| Dim { size: *size }).collect();
        let mut tensor = bytes(DataType::DtFloat, &0.5_f32.to_le_bytes());
        tensor.tensor_shape = Some(TensorShapeProto { dim, unknown_rank: false });
        tensor
    }

    #[test]
    fn every_numeric_type_gives_the_right_number() {
        #[track_caller]
        fn check(tensor: &TensorProto, expected: MetricValue) {
            assert_eq!(scalar(tensor), Ok(expected));
        }
        check(&bytes(DataType::DtFloat, &0.1_f32.to_le_bytes()), F32(0.1));
        check(&bytes(DataType::DtDouble, &0.1_f64.to_le_bytes()), F64(0.1));
        check(&bytes(DataType::DtHalf, &0x3c00_u16.to_le_bytes()), F32(1.0));
        check(&bytes(DataType::DtBfloat16, &0x3fc0_u16.to_le_bytes()), F32(1.5));
        check(&bytes(DataType::DtFloat8E5m2, &[0x3c]), F32(1.0));
        check(&bytes(DataType::DtFloat8E4m3fn, &[0x38]), F32(1.0));
        check(&bytes(DataType::DtFloat8E4m3fn, &[0x7e]), F32(448.0));
        check(&bytes(DataType::DtFloat8E4m3fn, &[0x81]), F32(-2_f32.powi(-9)));
        check(&bytes(DataType::DtInt8, &[0xff]), I64(-1));
        check(&bytes(DataType::DtInt16, &[0xfe, 0xff]), I64(-2));
        check(&bytes(DataType::DtInt32, &(-3_i32).to_le_bytes()), I64(-3));
        check(&bytes(DataType::DtInt64, &i64::MIN.to_le_bytes()), I64(i64::MIN));
        check(&bytes(DataType::DtUint8, &[0xff]), U64(255));
        check(&bytes(DataType::DtUint16, &[0xff, 0xff]), U64(65535));
        check(&bytes(DataType::DtUint32, &u32::MAX.to_le_bytes()), U64(u32::MAX.into()));
        check(&bytes(DataType::DtUint64, &u64::MAX.to_le_bytes()), U64(u64::MAX));
        check(&bytes(DataType::DtBool, &[1]), I64(1));
        let list = |dtype: DataType| TensorProto { dtype: dtype as i32, ..Default::default() };
        check(&TensorProto { float_val: vec![0.5], ..list(DataType::DtFloat) }, F32(0.5));
        check(&TensorProto { double_val: vec![0.5], ..list(DataType::DtDouble) }, F64(0.5));
        check(&TensorProto { half_val: vec![0x3c00], ..list(DataType::DtHalf) }, F32(1.0));
        check(&TensorProto { half_val: vec![0x3fc0], ..list(DataType::DtBfloat16) }, F32(1.5));
        check(&TensorProto { uint32_val: vec![200], ..list(DataType::DtUint8) }, U64(200));
        check(&TensorProto { int_val: vec![-4], ..list(DataType::DtInt32) }, I64(-4));
        check(&TensorProto { int_val: vec![200], ..list(DataType::DtUint8) }, U64(200));
        check(&TensorProto { int64_val: vec![-5], ..list(DataType::DtInt64) }, I64(-5));
        check(&TensorProto { bool_val: vec![true], ..list(DataType::DtBool) }, I64(1));
        check(&TensorProto { uint32_val: vec![6], ..list(DataType::DtUint32) }, U64(6));
        check(&TensorProto { uint64_val: vec![7], ..list(DataType::DtUint64) }, U64(7));
        check(&bytes(DataType::DtQint8, &[0xff]), I64(-1));
        check(&bytes(DataType::DtQint16, &[0xfe, 0xff]), I64(-2));
        check(&bytes(DataType::DtQint32, &(-3_i32).to_le_bytes()), I64(-3));
        check(&bytes(DataType::DtQuint8, &[0xff]), U64(255));
        check(&bytes(DataType::DtQuint16, &[0xff, 0xff]), U64(65535));
        for signed in
            [DataType::DtInt8, DataType::DtInt16, DataType::DtQint8, DataType::DtQint16, DataType::DtQint32]
        {
            check(&TensorProto { int_val: vec![-4], ..list(signed) }, I64(-4));
        }
        for unsigned in [DataType::DtUint16, DataType::DtQuint8, DataType::DtQuint16] {
            check(&TensorProto { int_val: vec![200], ..list(unsigned) }, U64(200));
        }
        check(&TensorProto { float8_val: vec![0x3c], ..list(DataType::DtFloat8E5m2) }, F32(1.0));
    }

    #[test]
    fn only_one_element_is_a_scalar() {
        #[track_caller]
        fn check(sizes: &[i64], expected: Result<MetricValue, Kind>) {
            assert_eq!(scalar(&shaped(sizes)), expected, "shape {sizes:?}");
        }
        check(&[], Ok(F32(0.5)));
        check(&[1], Ok(F32(0.5)));
        check(&[1, 1], Ok(F32(0.5)));
        check(&[2], Err(Kind::Tensor));
        check(&[0], Err(Kind::Tensor));
        check(&[-1], Err(Kind::Tensor));
    }

    #[test]
    fn a_tensor_without_its_value_is_no_scalar() {
        #[track_caller]
        fn check(tensor: &TensorProto, expected: Kind) {
            assert_eq!(scalar(tensor), Err(expected));
        }
        check(&bytes(DataType::DtFloat, &[]), Kind::Unread);
        check(&bytes(DataType::DtFloat, &[0; 8]), Kind::Unread);
        check(&bytes(DataType::DtString, b"1"), Kind::Text);
        check(&bytes(DataType::DtComplex64, &[0; 8]), Kind::Complex);
        check(&TensorProto { dtype: 999, ..Default::default() }, Kind::Unread);
    }

    /// Every number of both types, in both forms.
    #[test]
    fn half_val_holds_16_bits_or_the_32_of_a_float() {
        let read = |dtype: DataType, value: i32| {
            let half_val = vec![value];
            scalar(&TensorProto { dtype: dtype as i32, half_val, ..Default::default() }).ok()
        };
        for dtype in [DataType::DtHalf, DataType::DtBfloat16] {
            for bits in 0..=u16::MAX {
                let number = sixteen_bits(dtype, bits);
                let same = |got: Option<MetricValue>| match got {
                    Some(F32(got)) => got.to_bits() == number.to_bits() || got.is_nan() && number.is_nan(),
                    _ => false,
                };
                assert!(same(read(dtype, bits.into())), "{dtype:?} {bits:#x}");
                let long = if number.is_nan() { f32::NAN } else { number };
                assert!(same(read(dtype, long.to_bits().cast_signed())), "{dtype:?} {number}");
            }
            // A float32 that the type cannot hold, and 16 bits widened with their sign.
            assert_eq!(read(dtype, 0.1_f32.to_bits().cast_signed()), None);
            assert_eq!(read(dtype, i32::from(0xbc00_u16.cast_signed())), None);
        }
        assert_eq!(read(DataType::DtHalf, 1e20_f32.to_bits().cast_signed()), None);
    }
}
