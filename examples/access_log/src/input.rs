//! What to read: files, patterns, the standard input; plain or compressed with gzip.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::path::PathBuf;

use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;
use thiserror::Error;

/// The first two bytes of gzip data.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

const COMPRESSED_BUFFER_BYTES: usize = 1 << 17;

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What is piped in.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// An input that cannot be read to its end. The report is then not made at all, for one that lacks
/// a file would look whole.
#[derive(Debug, Error)]
pub enum InputError {
    /// A pattern with a mistake in it.
    #[error("`{pattern}` is neither a file nor a valid pattern: {reason}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        reason: glob::PatternError,
    },
    /// A pattern that names nothing.
    #[error("no file matches `{0}`")]
    NoMatch(String),
    /// A directory among the inputs.
    #[error("{0} is a directory: name the files in it, for instance `{0}/*.log`")]
    Directory(Input),
    /// Missing, forbidden, or broken while being read.
    #[error("cannot read {input}: {reason}")]
    Read {
        /// Which input.
        input: Input,
        /// What the system says.
        reason: io::Error,
    },
    /// Compressed data that is damaged or ends too early.
    #[error("cannot unpack {input}, its gzip data is damaged or cut off: {reason}")]
    Unpack {
        /// Which input.
        input: Input,
        /// What the decoder says.
        reason: io::Error,
    },
}

impl Input {
    /// The inputs that the arguments name: `-`, files, or patterns for files.
    ///
    /// Every file is looked for, so that a missing one is told before the first is read.
    ///
    /// # Errors
    /// A file that is missing, a directory, or a pattern without a match.
    pub fn resolve<'a>(
        arguments: impl IntoIterator<Item = &'a OsString>,
    ) -> Result<Vec<Self>, InputError> {
        let mut inputs = Vec::new();
        for argument in arguments {
            if argument == "-" {
                inputs.push(Self::Stdin);
                continue;
            }
            for path in paths(argument)? {
                let input = Self::File(path);
                input.check()?;
                inputs.push(input);
            }
        }
        Ok(inputs)
    }

    /// Bytes to read, before unpacking; `None` if that cannot be known beforehand.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File(path) => {
                fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|data| data.len())
            }
        }
    }

    /// Open the input; `progress` counts what is read of it, before unpacking.
    ///
    /// # Errors
    /// The input cannot be opened, or not even its beginning can be read.
    pub fn open(&self, progress: &ProgressBar) -> Result<Content, InputError> {
        let (raw, head) = self.raw(progress).map_err(|reason| self.unreadable(reason))?;
        // By name too: an empty or damaged .gz is an error, not a log without a good line.
        let packed = head == GZIP_MAGIC || self.is_named_gz();
        let raw = Cursor::new(head).chain(raw);
        let bytes: Box<dyn Read> = if packed {
            let raw = BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, raw);
            Box::new(MultiGzDecoder::new(raw))
        } else {
            Box::new(raw)
        };
        Ok(Content { bytes, packed })
    }

    /// What is wrong with this input if its content cannot be read any further.
    pub fn broken(&self, packed: bool, reason: io::Error) -> InputError {
        if packed {
            InputError::Unpack { input: self.clone(), reason }
        } else {
            self.unreadable(reason)
        }
    }

    /// The input as it is, and its first bytes.
    fn raw(&self, progress: &ProgressBar) -> io::Result<(impl Read + use<>, Vec<u8>)> {
        let raw: Box<dyn Read> = match self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::File(path) => Box::new(File::open(path)?),
        };
        let mut raw = progress.wrap_read(raw);
        let mut head = Vec::new();
        raw.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head)?;
        Ok((raw, head))
    }

    fn unreadable(&self, reason: io::Error) -> InputError {
        InputError::Read { input: self.clone(), reason }
    }

    fn is_named_gz(&self) -> bool {
        matches!(self, Self::File(path)
            if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")))
    }

    fn check(&self) -> Result<(), InputError> {
        let Self::File(path) = self else { return Ok(()) };
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => Err(InputError::Directory(self.clone())),
            Ok(_) => Ok(()),
            Err(reason) => Err(InputError::Read { input: self.clone(), reason }),
        }
    }
}

/// What is in an input.
pub struct Content {
    /// Its bytes, unpacked.
    pub bytes: Box<dyn Read>,
    /// Whether they are packed in the input itself.
    pub packed: bool,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("packed", &self.packed).finish_non_exhaustive()
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A file of that very name goes before the files that it matches as a pattern.
fn paths(argument: &OsStr) -> Result<Vec<PathBuf>, InputError> {
    let literal = PathBuf::from(argument);
    let Some(pattern) = argument.to_str().filter(|text| text.contains(['*', '?', '['])) else {
        return Ok(vec![literal]);
    };
    if literal.exists() {
        return Ok(vec![literal]);
    }
    let matches = glob::glob(pattern)
        .map_err(|reason| InputError::Pattern { pattern: pattern.to_owned(), reason })?;
    let paths = matches
        .map(|path| {
            path.map_err(|error| InputError::Read {
                input: Input::File(error.path().to_owned()),
                reason: error.into(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() { Err(InputError::NoMatch(pattern.to_owned())) } else { Ok(paths) }
}
