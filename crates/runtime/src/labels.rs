//! Labels on everything that Daybook makes. State can be rebuilt from them, and only what carries
//! them is ever touched.

/// App name.
pub const APP: &str = "dev.daybook.app";
/// Environment name.
pub const ENV: &str = "dev.daybook.env";
/// Service name.
pub const SERVICE: &str = "dev.daybook.service";
/// Ordinal of the replica.
pub const ORDINAL: &str = "dev.daybook.ordinal";
/// Role of the replica: `main`, `hook`, `job`, `one_off`.
pub const ROLE: &str = "dev.daybook.role";
/// Number of the release that started the replica.
pub const RELEASE: &str = "dev.daybook.release";
/// Run that started the replica.
pub const RUN: &str = "dev.daybook.run";
/// Fingerprint of the replica's configuration, `sha256:…`.
pub const FINGERPRINT: &str = "dev.daybook.fingerprint";
/// Digest of the artifact, `sha256:…`.
pub const ARTIFACT: &str = "dev.daybook.artifact";
/// Name of the volume or network inside its environment.
pub const NAME: &str = "dev.daybook.name";
/// Identity of the state directory whose server made it.
pub const OWNER: &str = "dev.daybook.owner";
/// The machine of that state directory.
pub const MACHINE: &str = "dev.daybook.owner.machine";
/// The path of that state directory there.
pub const STATE: &str = "dev.daybook.owner.state";
