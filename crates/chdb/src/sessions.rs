//! Sessions: a connection that lives from request to request, with its settings and temporary tables.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Engine, MarkedConnection};
use crate::exception::{Exception, codes};
use crate::limits::SESSIONS_MAX;

/// All sessions; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<Key, State>>>);

/// A user's session: another user's of the same name is another one.
type Key = (String, String);

#[derive(Debug)]
enum State {
    Idle {
        connection: MarkedConnection,
        expires: Instant,
    },
    /// A request holds its connection.
    Busy,
}

/// A session in use: no second request gets it until this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    sessions: Sessions,
    key: Key,
    timeout: Duration,
    /// Taken out when it must not be used again.
    pub(crate) connection: Option<MarkedConnection>,
}

impl Sessions {
    /// Takes a session, made when absent unless `must_exist`.
    pub(crate) fn take(
        &self,
        engine: &Engine,
        user: &str,
        asked: &crate::http::SessionAsked,
        now: Instant,
    ) -> Result<Session, Exception> {
        let key = (user.to_owned(), asked.id.clone());
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match sessions.insert(key.clone(), State::Busy) {
            Some(State::Busy) => {
                let message = format!("Session {} is locked by a concurrent client", asked.id);
                return Err(Exception::of(codes::SESSION_IS_LOCKED, "SESSION_IS_LOCKED", message));
            }
            Some(State::Idle { connection, expires }) if now < expires => connection,
            expired_or_absent => {
                drop(expired_or_absent);
                let made = if asked.check {
                    let message = format!("Session {} not found", asked.id);
                    Err(Exception::of(codes::SESSION_NOT_FOUND, "SESSION_NOT_FOUND", message))
                } else if sessions.len() > SESSIONS_MAX {
                    let message = format!("There are {SESSIONS_MAX} sessions already");
                    Err(Exception::of(codes::TOO_MANY_SIMULTANEOUS_QUERIES, "TOO_MANY_SIMULTANEOUS_QUERIES", message))
                } else {
                    engine.connection()
                };
                made.inspect_err(|_| drop(sessions.remove(&key)))?
            }
        };
        Ok(Session { sessions: self.clone(), key, timeout: asked.timeout, connection: Some(connection) })
    }

    /// Closes the sessions that nobody used in time.
    pub(crate) fn expire(&self, now: Instant) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, state| !matches!(state, State::Idle { expires, .. } if *expires <= now));
    }

    /// Closes all idle sessions.
    pub(crate) fn clear(&self) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, state| matches!(state, State::Busy));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut sessions = self.sessions.0.lock().unwrap_or_else(PoisonError::into_inner);
        match self.connection.take() {
            Some(connection) => {
                let expires = Instant::now() + self.timeout;
                sessions.insert(self.key.clone(), State::Idle { connection, expires });
            }
            None => drop(sessions.remove(&self.key)),
        }
    }
}
