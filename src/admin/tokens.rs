//! Bearer tokens: one that may read, one that may also write.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use subtle::ConstantTimeEq;

use super::Error;
use crate::settings;

/// 128 bits in hexadecimal, which cannot be guessed.
const LENGTH_MIN: usize = 32;
/// Bytes of a file that are read.
const LENGTH_MAX: usize = 4_096;

/// The right of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    Read,
    Write,
}

/// The token files. They are read at each request, so that a new token applies at once.
#[derive(Debug)]
pub(super) struct Tokens {
    files: Vec<TokenFile>,
}

#[derive(Debug)]
struct TokenFile {
    key: &'static str,
    path: PathBuf,
    right: Right,
    /// Was it logged that it cannot be used?
    is_logged: AtomicBool,
}

impl Tokens {
    /// `None`: there are no tokens, and every client may do everything.
    ///
    /// # Errors
    /// A file that holds no token fit for use, or the same one as the other.
    pub(super) fn of(admin: &settings::Admin) -> Result<Option<Self>, Error> {
        let file = |key, path: &Option<PathBuf>, right| {
            path.clone().map(|path| TokenFile { key, path, right, is_logged: AtomicBool::new(false) })
        };
        let files = [
            file("admin.token_file", &admin.token_file, Right::Read),
            file("admin.write_token_file", &admin.write_token_file, Right::Write),
        ];
        let files: Vec<TokenFile> = files.into_iter().flatten().collect();
        let tokens = files.iter().map(TokenFile::read).collect::<Result<Vec<_>, _>>()?;
        if let [read, write] = tokens.as_slice()
            && read == write
        {
            let problem = "holds the same token as admin.token_file, which is read-only; write another one".to_owned();
            return Err(Error { key: "admin.write_token_file", problem });
        }
        Ok((!files.is_empty()).then_some(Self { files }))
    }

    /// The right that an `Authorization` header grants. The time this takes reveals only the length of a token.
    pub(super) fn right_of(&self, authorization: &[u8]) -> Option<Right> {
        let (scheme, presented) = authorization.split_at_checked(b"Bearer ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return None;
        }
        let is_it = |file: &TokenFile| file.now().is_some_and(|token| bool::from(presented.trim_ascii().ct_eq(&token)));
        // All tokens are compared, even after a match.
        let fitting: Vec<Right> = self.files.iter().filter(|file| is_it(file)).map(|file| file.right).collect();
        fitting.into_iter().max()
    }
}

impl TokenFile {
    /// `None`: it cannot be used, and grants nothing.
    fn now(&self) -> Option<Vec<u8>> {
        let read = self.read();
        let was_logged = self.is_logged.swap(read.is_err(), Ordering::Relaxed);
        read.map_err(|error| {
            if !was_logged {
                tracing::error!(key = error.key, %error, "A token of the admin API cannot be used; requests with it are refused.");
            }
        })
        .ok()
    }

    fn read(&self) -> Result<Vec<u8>, Error> {
        let Self { key, path, .. } = self;
        let shown = path.display();
        let refusal = |problem| Err(Error { key, problem });
        let text = match bytes(path) {
            Ok(text) => text,
            Err(error) => {
                return refusal(format!("{shown} cannot be read ({error}); name a file that holds the token"));
            }
        };
        let token = text.strip_suffix(b"\n").map_or(&*text, |text| text.strip_suffix(b"\r").unwrap_or(text));
        if token.len() < LENGTH_MIN || token.len() > LENGTH_MAX {
            return refusal(format!(
                "{shown} holds {} characters, and a token has {LENGTH_MIN} to {LENGTH_MAX}; write one with: openssl rand -hex 32",
                token.len()
            ));
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return refusal(format!(
                "{shown} contains other characters than visible ASCII; write a token with: openssl rand -hex 32"
            ));
        }
        Ok(token.to_owned())
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LENGTH_MAX as u64 + 3).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Right, Tokens};
    use crate::settings::Admin;

    #[test]
    fn a_token_is_as_long_as_it_must_be_and_says_what_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let [read, write] = ["read", "write"].map(|name| folder.path().join(name));
        let admin = Admin { token_file: Some(read.clone()), write_token_file: Some(write.clone()), ..Admin::local() };
        let refused = |admin: &Admin| {
            let error = Tokens::of(admin).unwrap_err();
            format!("{}: {error}", error.key)
        };
        assert!(refused(&admin).starts_with("admin.token_file: ") && refused(&admin).contains("cannot be read"));
        let (a, b) = ("a".repeat(32), "b".repeat(40));
        fs::write(&read, &a[1..]).unwrap();
        assert!(refused(&admin).contains("holds 31 characters, and a token has 32 to 4096"));
        fs::write(&read, format!("{a} {a}")).unwrap();
        assert!(refused(&admin).contains("visible ASCII"));
        fs::write(&read, format!("{a}\r\n")).unwrap();
        fs::write(&write, &a).unwrap();
        assert!(refused(&admin).starts_with("admin.write_token_file: holds the same token"));
        fs::write(&write, format!("{b}\n")).unwrap();

        let tokens = Tokens::of(&admin).unwrap().unwrap();
        let right = |header: String| tokens.right_of(header.as_bytes());
        assert_eq!(right(format!("Bearer {a}")), Some(Right::Read));
        assert_eq!(right(format!("bearer {b}")), Some(Right::Write));
        for wrong in
            [format!("Basic {a}"), a.clone(), format!("Bearer {}", &a[1..]), format!("Bearer {a}a"), "Bearer ".into()]
        {
            assert_eq!(right(wrong), None);
        }
        // A new token is accepted at once, and without the file none is.
        fs::write(&read, "c".repeat(32)).unwrap();
        assert_eq!(right(format!("Bearer {a}")), None);
        assert_eq!(right(format!("Bearer {}", "c".repeat(32))), Some(Right::Read));
        fs::remove_file(&read).unwrap();
        assert_eq!(right("Bearer ".into()), None);
        assert_eq!(right(format!("Bearer {b}")), Some(Right::Write));
        assert!(Tokens::of(&Admin::local()).unwrap().is_none());
    }
}
