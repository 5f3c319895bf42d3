//! Who asks, and what they may do.

use std::hint::black_box;

use crate::exception::{Exception, codes};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everything but ending the process and reaching files.
    Full,
    /// Statements that leave no trace, within the limits.
    Read,
}

/// One user.
#[derive(Debug, Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password; empty only for `default`, whose access a flag gives.
    pub password: String,
    /// What the user may do.
    pub access: Access,
}

/// All users.
#[derive(Debug, Clone, Default)]
pub struct Users(pub Vec<User>);

impl Users {
    /// Finds the user, or says so in ClickHouse's words, the same for a wrong name and a wrong password.
    pub(crate) fn authenticate(&self, name: &str, password: &str) -> Result<&User, Exception> {
        self.0.iter().find(|user| user.name == name).filter(|user| same_text(&user.password, password)).ok_or_else(
            || {
                let message =
                    format!("{name}: Authentication failed: password is incorrect, or there is no user with such name");
                Exception::of(codes::AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED", message)
            },
        )
    }
}

/// Compares without telling by its time where the first difference is.
fn same_text(left: &str, right: &str) -> bool {
    let differences = left.bytes().zip(right.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    black_box(differences) == 0 && left.len() == right.len()
}
