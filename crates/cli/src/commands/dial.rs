use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use clap::Args;
use daybook_api::SOCKET_NAME;

use crate::context::Ctx;
use crate::error::{CommandError, Result};

/// Hand on between this command's input and output and the socket of a server: the other end of `--server`.
#[derive(Debug, Args)]
pub(crate) struct Dial {}

impl Dial {
    /// Does not come back: the process ends with the connection, whoever still waits for its input.
    pub(crate) fn run(self, ctx: &Ctx) -> Result<std::convert::Infallible> {
        let failed = |error: std::io::Error| CommandError::io("reach the server", &error);
        let mut socket = UnixStream::connect(ctx.state.join(SOCKET_NAME)).map_err(failed)?;
        let mut to_server = socket.try_clone().map_err(failed)?;
        // Nothing is kept back until a line is whole, as the handles of the standard library would.
        let mut input = File::from(stdin().as_fd().try_clone_to_owned().map_err(failed)?);
        let mut output = File::from(stdout().as_fd().try_clone_to_owned().map_err(failed)?);
        std::thread::spawn(move || {
            let _ = hand_on(&mut input, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        hand_on(&mut socket, &mut output).map_err(failed)?;
        std::process::exit(0)
    }
}

/// Hands each piece on as it comes. The standard library's `copy` leaves it to the kernel (splice(2)), which waits for more.
fn hand_on(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}
