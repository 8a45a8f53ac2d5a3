//! Passwords of operators: hashed by Argon2id, as the OWASP cheat sheet on password storage recommends it (19 MiB, two
//! passes, one lane: the crate's defaults), with a salt of its own each.
//!
//! Not here: how often one may try.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use secrecy::{ExposeSecret, SecretString};
use workflow::port::operators::PasswordHash;

/// The shortest password, in characters; by NIST SP 800-63B-4, 3.1.1.2, for a password that is the only factor.
pub const SHORTEST: usize = 15;

/// The longest, in bytes. What is longer is not hashed at all.
pub const LONGEST: usize = 256;

/// Characters of a password that is made up here: 32^26, so 130 bits.
const MADE_UP: usize = 26;

/// What is easily told apart when it is read out or typed.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The text is no password that would be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password has {SHORTEST} characters at least and {LONGEST} bytes at most; any characters will do")]
pub struct InvalidPassword;

/// What is stored of a password. Takes a moment, and a core: not for a thread that others wait for.
///
/// # Errors
/// It is too short or too long.
///
/// # Panics
/// When the operating system has no random numbers.
pub fn hash(password: &SecretString) -> Result<PasswordHash, InvalidPassword> {
    let password = password.expose_secret();
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        return Err(InvalidPassword);
    }
    let hash: phc::PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .expect("the parameters are the crate's own and the system has random numbers");
    Ok(PasswordHash::stored(hash.to_string()))
}

/// Whether it is this password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// It is.
    Yes,
    /// It is not, or nobody is here to have one.
    No,
}

/// Compares a password with what is stored of one. Takes as long when nothing is stored, so that nobody learns from it
/// who is here.
#[must_use]
pub fn compare(password: &SecretString, stored: Option<&PasswordHash>) -> Match {
    if password.expose_secret().len() > LONGEST {
        return Match::No;
    }
    let text = stored.map_or(NOBODYS, PasswordHash::expose);
    let Ok(hash) = phc::PasswordHash::new(text) else {
        tracing::error!("a stored password hash cannot be read: its operator cannot log in");
        return Match::No;
    };
    let is_same = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
    if is_same && stored.is_some() { Match::Yes } else { Match::No }
}

/// The hash of a password that nobody has: of random bytes, not kept.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$zS5U2zB9HgRiS2tcg1YayA$BWYBkGhXwABtE0kkYEJTe1ljM1s1eVP2l9HIvMreW/4";

/// A password for somebody who wants none of their own: to be shown once and never stored.
#[must_use]
pub fn made_up() -> SecretString {
    // Five bits each: every letter is as likely as any other.
    let letters = rand::random::<[u8; MADE_UP]>().map(|random| char::from(ALPHABET[usize::from(random % 32)]));
    String::from_iter(letters).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_what_was_stored_of_it_and_no_other_does() {
        let password = made_up();
        let (stored, again) = (hash(&password).unwrap(), hash(&password).unwrap());
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.expose());
        assert_ne!(stored, again, "each has a salt of its own");
        assert_eq!(compare(&password, Some(&stored)), Match::Yes);
        assert_eq!(compare(&made_up(), Some(&stored)), Match::No);
        assert_eq!(compare(&password, None), Match::No);
        assert_eq!(compare(&password, Some(&PasswordHash::stored("spoiled".into()))), Match::No);
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert_eq!(hash(&"fourteen chars".to_owned().into()), Err(InvalidPassword));
        assert!(hash(&"fünfzehn Zeichen".to_owned().into()).is_ok());
        assert_eq!(hash(&"a".repeat(LONGEST + 1).into()), Err(InvalidPassword));
        assert_eq!(compare(&"a".repeat(LONGEST + 1).into(), None), Match::No);
    }

    #[test]
    fn what_nobodys_password_is_compared_with_is_as_expensive_as_any() {
        let nobodys = phc::PasswordHash::new(NOBODYS).unwrap();
        let stored = hash(&made_up()).unwrap();
        assert_eq!(nobodys.params, phc::PasswordHash::new(stored.expose()).unwrap().params);
    }
}
