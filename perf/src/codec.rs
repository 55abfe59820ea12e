//! Decompresses a batch's records, within a bound.
//!
//! The formats are those of librdkafka: a gzip member, a raw snappy block, an LZ4 frame, a zstd
//! frame. Java's framing of snappy is not among them. kafka-protocol has codecs, too, but knows no
//! bound: a batch of some KiB could fill the memory.

use crate::records::Malformed;
use std::io::Read;

/// What a batch's records may become: as much as Kafka takes in a request.
pub const RECORDS_BYTES_MAX: usize = 100 << 20;

/// How a batch's records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 1952.
    Gzip,
    /// One block, its length in front.
    Snappy,
    /// LZ4's frame format.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Codec {
    /// The codec that a batch's attributes name, if any.
    ///
    /// Errors: `Malformed::Codec`; Kafka has no such number.
    pub fn of(attributes: u8) -> Result<Option<Self>, Malformed> {
        match attributes & 7 {
            0 => Ok(None),
            1 => Ok(Some(Self::Gzip)),
            2 => Ok(Some(Self::Snappy)),
            3 => Ok(Some(Self::Lz4)),
            4 => Ok(Some(Self::Zstd)),
            number => Err(Malformed::Codec(number)),
        }
    }

    /// The records as they were, at most `RECORDS_BYTES_MAX` of them.
    ///
    /// Errors: `Malformed::Compressed`.
    pub fn decompress(self, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        match self {
            Self::Gzip => read(flate2::bufread::GzDecoder::new(bytes)),
            Self::Snappy => snappy(bytes),
            Self::Lz4 => read(lz4_flex::frame::FrameDecoder::new(bytes)),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
                read(decoder.map_err(|_| Malformed::Compressed)?)
            }
        }
    }
}

fn snappy(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    match snap::raw::decompress_len(bytes) {
        Ok(length) if length <= RECORDS_BYTES_MAX => {
            snap::raw::Decoder::new().decompress_vec(bytes).map_err(|_| Malformed::Compressed)
        }
        _ => Err(Malformed::Compressed),
    }
}

fn read(decoder: impl Read) -> Result<Vec<u8>, Malformed> {
    let mut records = Vec::new();
    let read = decoder.take(RECORDS_BYTES_MAX as u64 + 1).read_to_end(&mut records);
    match read {
        Ok(length) if length <= RECORDS_BYTES_MAX => Ok(records),
        _ => Err(Malformed::Compressed),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    pub(crate) const ALL: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    pub(crate) fn compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Gzip => {
                let level = flate2::Compression::default();
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
            Codec::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Zstd => zstd::stream::encode_all(bytes, 1).unwrap(),
        }
    }

    #[test]
    fn every_codec_gives_back_what_it_got() {
        let records = b"some words, and some words again. ".repeat(10_000);
        for codec in ALL {
            let compressed = compress(codec, &records);
            assert!(compressed.len() < records.len() / 10, "{codec:?}");
            assert_eq!(codec.decompress(&compressed).as_ref(), Ok(&records), "{codec:?}");
        }
    }

    #[test]
    fn what_grows_past_the_bound_is_refused() {
        let zeros = vec![0; RECORDS_BYTES_MAX + 1];
        for codec in ALL {
            let refused = codec.decompress(&compress(codec, &zeros));
            assert_eq!(refused, Err(Malformed::Compressed), "{codec:?}");
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_refused() {
        for codec in ALL {
            let compressed = compress(codec, &b"some words. ".repeat(100));
            let cut = &compressed[..compressed.len() / 2];
            assert!(codec.decompress(cut).is_err(), "{codec:?}");
            assert!(codec.decompress(&[0xff; 64]).is_err(), "{codec:?}");
        }
        assert_eq!(Codec::of(0x18), Ok(None));
        assert_eq!(Codec::of(4), Ok(Some(Codec::Zstd)));
        assert_eq!(Codec::of(5), Err(Malformed::Codec(5)));
    }
}
