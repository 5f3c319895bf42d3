use std::path::Path;
use std::str::FromStr as _;

use rustls::CertificateError::{
    ApplicationVerificationFailure, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer,
};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// The parameters of an address that name files.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// What stands before a file's name where an address is written again; certificates themselves lack it.
const OF_FILE: &str = "file: ";

/// The root certificates of the system, in place of a file.
const SYSTEM: &str = "sslrootcert=system";

/// Reads an address of PostgreSQL, with what its own programs make of `sslmode` and `sslrootcert`.
///
/// A mode `require` with a root certificate checks the certificate; `sslrootcert=system` checks it with the name of the
/// host; sockets of the same machine have no TLS. A mode `allow` is as `prefer`.
pub fn connect_options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let (url, wants_system) = without_system(url);
    let options = PgConnectOptions::from_str(&url)?;
    let shown = options.to_url_lossy();
    let files: Vec<_> = shown.query_pairs().filter(|(name, _)| FILES.contains(&&**name)).collect();
    for (name, file) in &files {
        // Whether it can be read is known before anybody waits for a server.
        if let Some(path) = file.strip_prefix(OF_FILE).filter(|path| !Path::new(path).is_file()) {
            return Err(sqlx::Error::Configuration(format!("{name}: there is no file {path}").into()));
        }
    }
    let has_root = files.iter().any(|(name, _)| name == FILES[0]);
    let mode = match options.get_ssl_mode() {
        _ if options.get_socket().is_some() => PgSslMode::Disable,
        _ if wants_system => PgSslMode::VerifyFull,
        PgSslMode::Require if has_root => PgSslMode::VerifyCa,
        PgSslMode::Allow => PgSslMode::Prefer,
        mode => mode,
    };
    Ok(options.ssl_mode(mode))
}

/// Says what is to be done about a PostgreSQL that does not let us in, or is not the one that was meant: trying again is
/// of no use then.
#[must_use]
pub fn mend(error: &sqlx::Error) -> Option<&'static str> {
    match error {
        sqlx::Error::Io(told) => told.get_ref()?.downcast_ref().map(of_handshake),
        sqlx::Error::Tls(told) => Some(told.downcast_ref().map_or(
            "there is no TLS with it: `sslmode=prefer` does without, and `require`, `verify-ca` and `verify-full` do not",
            of_handshake,
        )),
        sqlx::Error::Configuration(_) => Some("the address cannot be used as it is"),
        sqlx::Error::Database(told) => match told.code()?.as_ref() {
            "28000" => Some(
                "its `pg_hba.conf` does not let us in so: where it wants TLS, write `sslmode=verify-full` (or `require`) in the \
                 address, and where it wants a certificate `sslcert` and `sslkey`",
            ),
            "28P01" => Some("the user or the password in the address is wrong"),
            _ => None,
        },
        _ => None,
    }
}

fn of_handshake(error: &rustls::Error) -> &'static str {
    use rustls::Error::{AlertReceived, InvalidCertificate};
    match error {
        InvalidCertificate(UnknownIssuer) => {
            "its certificate is of an authority that is not known here: name the file with that authority's certificate in the \
             address (`sslrootcert=/path/root.crt`)"
        }
        InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "its certificate is for another name: write the host in the address as the certificate has it, or \
             `sslmode=verify-ca`, which leaves out the name"
        }
        InvalidCertificate(Expired | ExpiredContext { .. }) => "its certificate is over: PostgreSQL needs another one",
        InvalidCertificate(ApplicationVerificationFailure) | AlertReceived(_) => {
            "it refuses TLS with us: look into its log, and whether `sslcert` and `sslkey` in the address are those that it takes"
        }
        _ => "TLS with it does not come about: look into its log for the other half of the story",
    }
}

/// Takes the word for the system's certificates out of an address: they are known in any case.
fn without_system(url: &str) -> (String, bool) {
    let Some((place, parameters)) = url.split_once('?') else { return (url.to_owned(), false) };
    let kept: Vec<_> = parameters.split('&').filter(|parameter| *parameter != SYSTEM).collect();
    let wants_system = kept.len() < parameters.split('&').count();
    (format!("{place}?{}", kept.join("&")), wants_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(parameters: &str) -> String {
        let options = connect_options(&format!("postgres://me@db.example/traces{parameters}")).expect("an address");
        format!("{:?}", options.get_ssl_mode())
    }

    #[test]
    fn modes_are_those_of_postgresql() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(["", "?sslmode=disable", "?sslmode=allow"].map(mode), ["Prefer", "Disable", "Prefer"]);
        assert_eq!(["?sslmode=require", "?sslmode=verify-full"].map(mode), ["Require", "VerifyFull"]);
        assert_eq!(mode(&format!("?sslmode=require&sslrootcert={here}")), "VerifyCa");
        assert_eq!(mode("?application_name=a&sslrootcert=system"), "VerifyFull");
        assert_eq!(mode("?host=/run/postgresql&sslmode=require"), "Disable");
    }

    #[test]
    fn a_file_that_is_missing_is_told_with_its_parameter() {
        let error = connect_options("postgres://me@db.example/traces?sslmode=verify-ca&sslrootcert=/no/such.crt");
        let told = error.expect_err("no file").to_string();
        assert!(told.contains("sslrootcert: there is no file /no/such.crt"), "{told}");
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart_from_a_server_that_is_away() {
        let of =
            |error: rustls::Error| mend(&sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error)));
        let unknown = of(rustls::Error::InvalidCertificate(UnknownIssuer)).expect("what to do");
        assert!(unknown.contains("sslrootcert="), "{unknown}");
        let name = of(rustls::Error::InvalidCertificate(NotValidForName)).expect("what to do");
        assert!(name.contains("verify-ca"), "{name}");
        assert_eq!(mend(&sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into())), None);
    }
}
