//! Compression of whole files and of the blocks of a container.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// Bytes from anywhere.
pub(super) type Input = Box<dyn BufRead + Send>;

/// How a whole file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// Detected from the first bytes of the file, whatever its name.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // Parallel compressors (pzstd) begin with a skippable frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// The decompressed bytes; concatenated files are read through.
    pub(super) fn read(self, input: Input) -> io::Result<Input> {
        Ok(match self {
            Self::Gzip => Box::new(BufReader::new(Members::new(input))),
            Self::Zstd => Box::new(BufReader::new(zstd::Decoder::with_buffer(input)?)),
            Self::Bzip2 => Box::new(BufReader::new(bzip2::bufread::MultiBzDecoder::new(input))),
            Self::Xz => Box::new(BufReader::new(liblzma::bufread::XzDecoder::new_stream(input, xz()?))),
        })
    }
}

/// Reads concatenated streams of xz. The largest dictionary of the presets takes 64 MiB; a header can ask for more.
fn xz() -> io::Result<Stream> {
    Ok(Stream::new_stream_decoder(MAX_BLOCK, CONCATENATED)?)
}

/// The members of a gzip file, one after the other. Zeros between and after them pad blocks of a tape or disk.
struct Members {
    /// `None`: at the end, or after an error.
    member: Option<GzDecoder<Input>>,
}

impl Members {
    fn new(input: Input) -> Self {
        Self { member: Some(GzDecoder::new(input)) }
    }
}

impl Read for Members {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let Some(ended) = self.member.take() else { break };
            self.member = following(ended.into_inner())?.map(GzDecoder::new);
        }
        Ok(0)
    }
}

/// The next member; `None` at the end.
fn following(mut input: Input) -> io::Result<Option<Input>> {
    loop {
        let there = input.fill_buf()?;
        let zeros = there.iter().take_while(|byte| **byte == 0).count();
        match there.get(zeros) {
            Some(0x1f) => {
                input.consume(zeros);
                return Ok(Some(input));
            }
            Some(_) => return Err(io::Error::other("trailing bytes after the compressed data")),
            None if zeros == 0 => return Ok(None),
            None => input.consume(zeros),
        }
    }
}

/// How the blocks of a container are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
    Bzip2,
    Xz,
}

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadBlock {
    #[error("decompression failed ({0})")]
    Compression(#[from] io::Error),
    #[error("the checksum does not match")]
    Checksum,
    #[error("they are larger than {} MiB", MAX_BLOCK >> 20)]
    TooLarge,
}

/// The largest block, compressed or not, in bytes.
pub(super) const MAX_BLOCK: u64 = 256 << 20;

impl Codec {
    /// The codecs of Avro, by their names there.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"null" | b"" => Self::Null,
            b"deflate" => Self::Deflate,
            b"snappy" => Self::Snappy,
            b"zstandard" => Self::Zstandard,
            b"bzip2" => Self::Bzip2,
            b"xz" => Self::Xz,
            _ => return None,
        })
    }

    pub(super) fn expand(self, stored: Vec<u8>) -> Result<Vec<u8>, BadBlock> {
        let expanded: Box<dyn Read + '_> = match self {
            Self::Null => return Ok(stored),
            Self::Snappy => return snappy(&stored),
            Self::Deflate => Box::new(flate2::read::DeflateDecoder::new(stored.as_slice())),
            Self::Zstandard => Box::new(zstd::Decoder::new(stored.as_slice())?),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(stored.as_slice())),
            Self::Xz => Box::new(liblzma::read::XzDecoder::new_stream(stored.as_slice(), xz()?)),
        };
        let mut block = Vec::new();
        expanded.take(MAX_BLOCK + 1).read_to_end(&mut block)?;
        if block.len() as u64 > MAX_BLOCK { Err(BadBlock::TooLarge) } else { Ok(block) }
    }
}

/// As in Avro: without Snappy's framing, and followed by the CRC-32 of the uncompressed bytes.
fn snappy(stored: &[u8]) -> Result<Vec<u8>, BadBlock> {
    let bad = |error: snap::Error| BadBlock::Compression(io::Error::other(error));
    let (compressed, checksum) = stored.split_last_chunk().ok_or(BadBlock::Checksum)?;
    if snap::raw::decompress_len(compressed).map_err(bad)? as u64 > MAX_BLOCK {
        return Err(BadBlock::TooLarge);
    }
    let block = snap::raw::Decoder::new().decompress_vec(compressed).map_err(bad)?;
    let mut found = flate2::Crc::new();
    found.update(&block);
    if found.sum() == u32::from_be_bytes(*checksum) { Ok(block) } else { Err(BadBlock::Checksum) }
}
