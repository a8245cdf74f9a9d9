//! A command inside a replica, over an upgraded connection.

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use daybook_api::ErrorCode;
use daybook_api::exec::{ExecRequest, Frame, MAX_PAYLOAD, PROTOCOL};
use daybook_model::{Event, ReplicaId};
use daybook_runtime::Exec;
use daybook_store::{Journal as _, Write};
use futures::StreamExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::App;
use crate::error::ApiError;
use crate::request::{AtReplica, Body, Caller, Path};

/// Runs a command inside a running replica.
///
/// Answers 101 and goes on with the frames of `daybook-exec`: a byte kind (0 input, 1 output,
/// 2 error output, 3 exit code, 4 terminal size, 5 end of input, 6 error), a length (32 bits,
/// big-endian), and so many bytes.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/replicas/{replica}/exec", tag = "enter",
    params(AtReplica), request_body = ExecRequest,
    responses((status = 101, description = "frames follow"), (status = "default", body = daybook_api::ErrorBody))
)]
pub(crate) async fn exec(
    State(app): State<App>,
    Path(at): Path<AtReplica>,
    Caller(actor): Caller,
    mut request: Request,
) -> Result<Response, ApiError> {
    let key = daybook_model::EnvKey::new(at.app, at.env);
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let asked = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    let upgrade = upgrade
        .filter(|_| asked == Some(PROTOCOL))
        .ok_or_else(|| ApiError::new(ErrorCode::Usage, format!("this path needs the header `Upgrade: {PROTOCOL}`")))?;
    let Body(command) = Body::<ExecRequest>::from_request(request, &app).await?;
    let program = command.argv.first().cloned();
    let program = program.ok_or_else(|| ApiError::new(ErrorCode::Usage, "there is no command to run"))?;
    let event = Event::Executed { replica: at.replica.clone(), program };
    app.require_replica(&key, &at.replica).await?;
    app.inner.store.append(Write { key: Some(key.clone()), run: None, actor, event, expected: None }).await?;
    let command = daybook_runtime::ExecRequest {
        argv: command.argv,
        tty: command.tty,
        user: command.user,
        working_dir: command.workdir,
    };
    let exec = app.inner.runtime.exec(&key, &at.replica, &command).await?;
    app.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => converse(exec, TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(%error, "the client of an exec went away"),
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    Ok(response)
}

impl App {
    async fn require_replica(&self, key: &daybook_model::EnvKey, id: &ReplicaId) -> Result<(), ApiError> {
        let seen = self.inner.runtime.observe(key).await?;
        match seen.replicas.iter().find(|replica| &replica.id == id) {
            Some(replica) if replica.is_running() => Ok(()),
            Some(_) => Err(ApiError::new(ErrorCode::Invalid, format!("{id} does not run"))
                .hint(format!("`daybook why {}` says why", id.service))),
            None => Err(ApiError::not_found(format!("{key} has no replica {id}")).hint("`daybook ps` lists them")),
        }
    }
}

/// Carries frames both ways until the command has ended or the client is gone.
async fn converse(exec: Exec, connection: impl AsyncRead + AsyncWrite) {
    let (mut from, mut to) = tokio::io::split(connection);
    let Exec { mut output, input, code, resize } = exec;
    let listen = async {
        let mut input = Some(input);
        while let Ok(Some(frame)) = Frame::read(&mut from).await {
            match frame {
                Frame::Stdin(bytes) => {
                    if let Some(open) = &mut input
                        && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
                    {
                        input = None;
                    }
                }
                Frame::StdinEnd => {
                    if let Some(mut open) = input.take() {
                        let _ = open.shutdown().await;
                    }
                }
                Frame::Resize(columns, rows) => {
                    let _ = resize(columns, rows).await;
                }
                _ => return,
            }
        }
    };
    let speak = async {
        let mut failed = None;
        while let Some(piece) = output.next().await {
            match piece {
                Ok(piece) => {
                    for bytes in pieces(piece.bytes) {
                        let frame = if piece.stderr { Frame::Stderr(bytes) } else { Frame::Stdout(bytes) };
                        frame.write(&mut to).await?;
                    }
                }
                Err(error) => failed = Some(error.to_string()),
            }
        }
        let last = match (failed, code.await) {
            (None, Ok(code)) => Frame::Exit(code),
            (Some(error), _) => Frame::Error(error),
            (None, Err(error)) => Frame::Error(error.to_string()),
        };
        last.write(&mut to).await?;
        to.shutdown().await
    };
    tokio::select! {
        _ = speak => {}
        // A client that closed gets nothing more; dropping the command is the runtime's affair.
        () = listen => {}
    }
}

fn pieces(mut bytes: bytes::Bytes) -> Vec<bytes::Bytes> {
    let mut out = Vec::new();
    while bytes.len() > MAX_PAYLOAD {
        out.push(bytes.split_to(MAX_PAYLOAD));
    }
    out.push(bytes);
    out
}
