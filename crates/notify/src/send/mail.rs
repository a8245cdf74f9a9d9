//! E-mail by SMTP, never in clear.

use std::net::SocketAddr;

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{Reply, Sender, cause};
use crate::channel::{Email, Encryption, Target};
use crate::render::Mail;
use crate::{Channel, Outcome, text};

impl Sender {
    pub(super) async fn mail(&self, channel: &Channel, mail: &Mail) -> Reply {
        let Target::Email(email) = &channel.target else {
            return refused("it is no channel for e-mail").into();
        };
        let message = match message(mail) {
            Ok(message) => message,
            Err(why) => return refused(&why).into(),
        };
        let addresses = match self.addresses(&email.host, email.port(), true).await {
            Ok(addresses) => addresses,
            Err(outcome) => return outcome.into(),
        };
        let mut outcome = refused("it has no address");
        for address in addresses {
            outcome = match self.transport(channel, email, address) {
                Ok(transport) => match transport.send(message.clone()).await {
                    Ok(answer) => {
                        let lines: Vec<&str> = answer.message().collect();
                        let said = text::line(&format!("{} {}", answer.code(), lines.join(" ")));
                        return Reply { outcome: Outcome::Delivered, said };
                    }
                    Err(error) => failed(&error),
                },
                Err(error) => refused(&cause(&error)),
            };
            // Whoever answers speaks for all of them.
            if matches!(outcome, Outcome::Refused { .. }) {
                break;
            }
        }
        outcome.into()
    }

    /// Connects to the address that was checked; the certificate has to be for the name.
    fn transport(
        &self,
        channel: &Channel,
        email: &Email,
        address: SocketAddr,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, Error> {
        let mut tls = TlsParameters::builder(email.host.clone());
        if let Some(authority) = &channel.authority {
            tls = tls
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(authority.as_bytes())?);
        }
        let tls = tls.build_rustls()?;
        let tls = match email.encryption {
            Encryption::Implicit => Tls::Wrapper(tls),
            Encryption::Starttls => Tls::Required(tls),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
            .port(address.port())
            .tls(tls)
            .hello_name(ClientId::Domain(domain(&email.from)))
            .timeout(Some(self.patience));
        let builder = match &email.login {
            None => builder,
            Some(login) => {
                builder.credentials(Credentials::new(login.user.clone(), login.password.expose().to_owned()))
            }
        };
        Ok(builder.build())
    }
}

fn message(mail: &Mail) -> Result<Message, String> {
    let mailbox =
        |address: &str| address.parse::<Mailbox>().map_err(|error| format!("`{address}` is no address: {error}"));
    let mut builder = Message::builder()
        .from(mailbox(&mail.from)?)
        .subject(mail.subject.clone())
        .date(mail.at.into())
        .message_id(Some(mail.id.clone()))
        .in_reply_to(mail.thread.clone())
        .references(mail.thread.clone())
        .header(AutoSubmitted);
    for to in &mail.to {
        builder = builder.to(mailbox(to)?);
    }
    let parts = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
    builder.multipart(parts).map_err(|error| format!("no e-mail can be made: {error}"))
}

/// Keeps holiday notes from being sent in answer: RFC 3834.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The domain of an address.
fn domain(address: &str) -> String {
    address.rsplit('@').next().unwrap_or_default().trim_end_matches('>').trim().to_owned()
}

/// A server that says no for good is not asked again; a network may work later, and so may a certificate.
fn failed(error: &Error) -> Outcome {
    let why = match error.status() {
        Some(code) => format!("the mail server answers {code}: {}", cause(error)),
        None => cause(error),
    };
    if error.is_permanent() || error.is_client() {
        Outcome::Refused { why }
    } else {
        Outcome::Retry { after: None, why }
    }
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused { why: why.to_owned() }
}
