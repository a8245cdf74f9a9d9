//! Releasing charts.

use std::time::Duration;

use daybook_decide::why;
use daybook_model::event::{Failure, StepOutcome};
use daybook_model::fingerprint::Fingerprint;
use daybook_model::trouble::Trouble;
use daybook_model::{Service, ServiceName, Step};

use crate::act::{failure, service};
use crate::drive::RunContext;
use crate::{Executor, Result};

/// How often it is asked what is in the way of what a chart has made.
const ASK_EVERY: Duration = Duration::from_secs(3);

impl Executor {
    /// Releases a chart, and tells meanwhile and afterwards what is in the way of what it made: Helm itself only says
    /// that it waited long enough.
    pub(crate) async fn release_chart(
        &self,
        cx: &RunContext,
        step: &Step,
        name: &ServiceName,
        fingerprint: &Fingerprint,
    ) -> Result<StepOutcome> {
        let service = service(cx, name)?;
        let mut released = self.inner.runtime.release_chart(&cx.key, service, fingerprint);
        let (mut troubles, mut said) = (Vec::new(), None);
        let released = loop {
            tokio::select! {
                released = &mut released => break released,
                () = tokio::time::sleep(ASK_EVERY) => {
                    // A runtime that does not tell now may tell the next time.
                    troubles = self.inner.runtime.troubles(&cx.key, name).await.unwrap_or_default();
                    let cause = why::in_the_way(&troubles).map(|trouble| why::cause(trouble, Some(service)));
                    if let Some(cause) = cause.filter(|cause| said.as_ref() != Some(cause)) {
                        self.note(cx, step, &cause);
                        said = Some(cause);
                    }
                }
            }
        };
        self.inner.looks.outdate(&cx.key);
        match released {
            Ok(()) => Ok(StepOutcome::Done("all that it made is ready".to_owned())),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Ok(StepOutcome::Failed(not_released(service, &troubles, failure(&error.into())))),
        }
    }
}

/// A failure of Helm, with what the cluster says of what the chart made.
fn not_released(service: &Service, troubles: &[Trouble], failure: Failure) -> Failure {
    let Some(trouble) = why::in_the_way(troubles) else { return failure };
    let cause = why::cause(trouble, Some(service));
    let mut evidence = vec![format!("the cluster says: {}", trouble.said), format!("helm says: {}", failure.why)];
    evidence.extend(failure.evidence);
    let why = format!("what the chart of {} made never became ready: {cause}", service.name);
    Failure { why, evidence, cause: Some(cause), ..failure }
}
