//! Tokens, of which only the hashes are kept.
//!
//! ```text
//!   # name  scope  SHA-256 of the token
//!   page    read   5e88…
//!   ci      write  9f86…
//! ```
//!
//! A token should be 32 random bytes, so that a plain hash of it can not be searched.

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// What a token lets do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Read,
    Write,
    Admin,
}

impl Scope {
    const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(super) type Hash = [u8; 32];

/// The tokens that are known.
#[derive(Clone)]
pub struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    name: String,
    scope: Scope,
    hash: Hash,
}

/// What is wrong with a list of tokens. Its text is not repeated, as it may be a token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTokens {
    #[error(
        "line {0} is not `NAME SCOPE HASH`, with the SHA-256 of the token in hexadecimal digits"
    )]
    Line(usize),
    #[error("line {0} has no scope that is known: there are read, write and admin")]
    Scope(usize),
    #[error("there is no token in it")]
    None,
}

impl Tokens {
    /// Reads a list: a token per line, empty lines and those that begin with `#` apart.
    pub fn parse(text: &str) -> Result<Tokens, BadTokens> {
        let mut tokens = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<_> = line.split_whitespace().collect();
            let [name, scope, hash] = words[..] else { return Err(BadTokens::Line(n + 1)) };
            let scope = Scope::ALL.into_iter().find(|known| known.as_str() == scope);
            let scope = scope.ok_or(BadTokens::Scope(n + 1))?;
            let hash = digits(hash).ok_or(BadTokens::Line(n + 1))?;
            tokens.push(Token { name: name.to_owned(), scope, hash });
        }
        if tokens.is_empty() { Err(BadTokens::None) } else { Ok(Tokens(tokens)) }
    }

    /// The name and scope of a token; all are compared, whatever is found.
    pub(super) fn find(&self, token: &str) -> Option<(&str, Scope)> {
        let hash = hash(token);
        let mut found = u32::MAX;
        for (n, known) in (0..).zip(&self.0) {
            found.conditional_assign(&n, known.hash.ct_eq(&hash));
        }
        let token = self.0.get(usize::try_from(found).ok()?)?;
        Some((&token.name, token.scope))
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

pub(super) fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

fn digits(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = Hash::default();
    for (n, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, scope: &str, token: &str) -> String {
        let digits: String = hash(token).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name} {scope} {digits}")
    }

    #[test]
    fn a_token_is_known_by_its_hash() {
        let text = format!("# who\n\n{}\n {}", line("page", "read", "a"), line("ci", "write", "b"));
        let tokens = Tokens::parse(&text).unwrap();
        assert_eq!(tokens.find("a"), Some(("page", Scope::Read)));
        assert_eq!(tokens.find("b"), Some(("ci", Scope::Write)));
        assert_eq!(tokens.find(""), None);
        assert_eq!(tokens.find("c"), None);
    }

    #[test]
    fn the_known_hash_of_a_text_is_its_hash() {
        // FIPS 180-2, appendix B.1.
        let digits = digits("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digits, Some(hash("abc")));
    }

    #[test]
    fn a_fault_names_the_line_and_never_what_is_in_it() {
        let fault = |text: &str| Tokens::parse(text).unwrap_err();
        assert_eq!(fault(""), BadTokens::None);
        assert_eq!(fault("\n# x"), BadTokens::None);
        assert_eq!(fault("\nsecret"), BadTokens::Line(2));
        assert_eq!(fault("a read secret"), BadTokens::Line(1));
        assert_eq!(fault(&line("a", "all", "x")), BadTokens::Scope(1));
        assert!(!format!("{:?}", Tokens::parse(&line("a", "read", "x"))).contains("hash"));
    }
}
