//! What a request of Prometheus' API asks for: in its query, or in a form.

use std::time::Duration;

use axum::extract::{FromRequest, RawForm, Request};
use daybook_metrics::Matcher;
use daybook_model::Timestamp;

use super::answer::Refused;
use super::selectors;

/// Names and values, as they came.
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_form = request.method() == axum::http::Method::POST;
        let mut pairs = Self::of(query.as_bytes());
        if is_form {
            let RawForm(form) =
                RawForm::from_request(request, state).await.map_err(|said| Refused::bad(said.to_string()))?;
            pairs.0.extend(Self::of(&form).0);
        }
        Ok(pairs)
    }
}

impl Parameters {
    fn of(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn need(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| Refused::bad(format!("invalid parameter {name:?}: it is missing")))
    }

    /// A time, in milliseconds since 1970.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let read = time(text).ok_or_else(|| {
            Refused::bad(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid timestamp"))
        });
        read.map(Some)
    }

    pub(super) fn need_time(&self, name: &str) -> Result<i64, Refused> {
        self.need(name)?;
        self.time(name)?.ok_or_else(|| Refused::bad(format!("invalid parameter {name:?}: it is empty")))
    }

    /// A time between two, in milliseconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let read = duration(text).ok_or_else(|| {
            Refused::bad(format!("invalid parameter {name:?}: cannot parse {text:?} to a valid duration"))
        });
        read.map(Some)
    }

    pub(super) fn timeout(&self) -> Result<Option<Duration>, Refused> {
        let ms = self.duration("timeout")?;
        Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    /// How many are wanted: all, if nothing or zero is said.
    pub(super) fn limit(&self) -> Result<usize, Refused> {
        let Some(text) = self.get("limit").filter(|text| !text.is_empty()) else { return Ok(usize::MAX) };
        let read: usize = text.parse().map_err(|_| Refused::bad("invalid parameter \"limit\": it is no number"))?;
        Ok(if read == 0 { usize::MAX } else { read })
    }

    pub(super) fn matchers(&self) -> Result<Vec<Vec<Matcher>>, Refused> {
        selectors(self.0.iter().filter(|(name, _)| name == "match[]").map(|(_, value)| value.as_str()))
    }
}

/// Seconds since 1970, or RFC 3339.
fn time(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => milliseconds(seconds),
        Err(_) => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
    }
}

/// Seconds, or numbers with units, such as `1h30m`.
fn duration(text: &str) -> Option<i64> {
    text.parse::<f64>().map_or_else(|_| daybook_rules::duration::parse(text), milliseconds)
}

fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    // Beyond these years no sum of two times has room.
    (ms.abs() < 1e15).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_those_of_prometheus() {
        assert_eq!(time("1435781451.781"), Some(1_435_781_451_781));
        assert_eq!(time("2015-07-01T20:10:51.781Z"), Some(1_435_781_451_781));
        assert_eq!(time("2015-07-01T22:10:51.781+02:00"), Some(1_435_781_451_781));
        for wrong in ["", "today", "inf", "NaN", "1e300"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        for (text, ms) in
            [("15", 15_000), ("0.5", 500), ("1h30m", 5_400_000), ("5m", 300_000), ("250ms", 250), ("1d", 86_400_000)]
        {
            assert_eq!(duration(text), Some(ms), "{text}");
        }
        for wrong in ["m", "5x", "h5", "5 m", "30m1h", "99999999999999999999y"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_may_come_often() {
        let asked = Parameters::of(b"match[]=up&match%5B%5D=node_load1%7Bjob%3D%22a%22%7D&limit=3");
        assert_eq!(asked.matchers().unwrap().len(), 2);
        assert_eq!(asked.limit().unwrap(), 3);
        assert!(Parameters::of(b"match[]=1+1").matchers().is_err());
        assert!(Parameters::of(b"time=x").time("time").is_err());
    }
}
