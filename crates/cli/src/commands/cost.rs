use std::path::PathBuf;

use clap::{Args, ValueHint};
use daybook_api::client::Exit;
use daybook_decide::cost::{Catalogue, Demand, Estimate, Invalid, Model, Terms, compare, estimate, text};
use daybook_manifest::Aim;
use daybook_model::Timestamp;
use daybook_model::spec::Budget;

use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::manifest;

/// Say what the manifest's environment costs a month, line by line, with what each line assumes. Needs no server.
///
/// Replicas are put on the machines of a provider, or paid by cores and memory. What has no price is named, and never
/// counted as nothing.
#[derive(Debug, Args)]
pub(crate) struct Cost {
    /// Where it runs: `aws/eu-central-1`. Without it, and without a `budget` in the manifest, every place is compared.
    #[arg(long, value_name = "PROVIDER/REGION", env = "DAYBOOK_COST_AT")]
    at: Option<String>,
    /// Compare with every other place, the cheapest first.
    #[arg(long)]
    compare: bool,
    /// Pay by cores and memory, as Fargate and Autopilot take, where the place has such a price.
    #[arg(long, conflicts_with = "compare")]
    serverless: bool,
    /// What leaves for the Internet in a month: `100GB`.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    egress: Option<u64>,
    /// What machines keep free, percent: 20 unless the manifest's budget says otherwise.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=90))]
    headroom: Option<u8>,
    /// Machines with ARM processors count as well: the images have to be made for them.
    #[arg(long)]
    arm: bool,
    /// Prices of your own, as CSV: they take the place of all others. Once for each file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    prices: Vec<PathBuf>,
    /// Places that a comparison shows.
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    most: usize,
}

impl Cost {
    pub(crate) fn run(self, ctx: &Ctx) -> Result<Exit> {
        let (spec, _) = manifest::load(&ctx.global, Aim::Look)?;
        let catalogue = self.catalogue()?;
        let (demand, budget) = (Demand::of(&spec), spec.budget.as_ref());
        let at = self.at.as_deref().or(budget.map(|budget| budget.place.as_str()));
        let terms = Terms {
            model: if self.serverless { Model::Serverless } else { Model::Machines },
            headroom: self.headroom.or(budget.map(|budget| budget.headroom)).unwrap_or(Budget::HEADROOM).into(),
            arm: self.arm,
            egress_bytes: self.egress.or(budget.and_then(|budget| budget.egress_bytes)),
            today: Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
        };
        let Some(at) = at.filter(|_| !self.compare) else {
            let all = compare(&demand, &catalogue, &terms);
            if let Some(at) = &self.at {
                catalogue.place(at).map_err(CommandError::usage)?;
            }
            let most = self.most;
            ctx.data(&all, |all: &Vec<Estimate>| text::table(all, most))?;
            if let Some(first) = all.first() {
                ctx.next(&format!("see each line: {} --at {}", ctx.command("cost"), first.place));
            }
            return Ok(Exit::Ok);
        };
        let place = catalogue.place(at).map_err(CommandError::usage)?;
        if self.serverless && catalogue.serverless(place).is_none() {
            let offering = catalogue.places().filter(|place| catalogue.serverless(place).is_some());
            let offering: Vec<_> = offering.map(ToString::to_string).collect();
            return Err(CommandError::usage(format!("{place} has no price of cores and memory without machines"))
                .hint(format!("there is one of: {}", offering.join(", "))));
        }
        let estimate = estimate(&demand, &catalogue, place, &terms);
        ctx.data(&estimate, |estimate: &Estimate| text::render(&spec.key, estimate, &terms))?;
        ctx.next(&format!("compare with other places: {} --compare", ctx.command("cost")));
        Ok(Exit::Ok)
    }

    fn catalogue(&self) -> Result<Catalogue> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CommandError::io(format!("read {}", path.display()), &error))?;
            Ok((path.display().to_string(), text))
        };
        let own = self.prices.iter().map(read).collect::<Result<Vec<_>>>()?;
        let own = own.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let read = if self.prices.is_empty() { Catalogue::built_in() } else { Catalogue::read(own) };
        read.map_err(|invalid| {
            let lines: Vec<_> = invalid.iter().take(10).map(Invalid::to_string).collect();
            let more = invalid.len().saturating_sub(lines.len());
            let more = if more > 0 { format!("\n… and {more} more") } else { String::new() };
            CommandError::failed(format!("{}{more}", lines.join("\n")))
                .hint("columns: provider,region,service,sku,vcpu,memory_gib,gpu,unit,price_usd,source,as_of")
        })
    }
}

/// `100GB`, `1.5TB`, `500GiB` as bytes.
fn size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "B" | "" => 1.0,
        "MB" | "M" => 1e6,
        "GB" | "G" => 1e9,
        "TB" | "T" => 1e12,
        "MiB" | "Mi" => f64::from(1 << 20),
        "GiB" | "Gi" => f64::from(1 << 30),
        "TiB" | "Ti" => (1_u64 << 40) as f64,
        other => return Err(format!("`{other}` is no unit: write GB, TB or GiB")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("`{text}` is no amount: write 100GB"))?;
    if (0.0..1e9).contains(&number) {
        Ok((number * unit) as u64)
    } else {
        Err(format!("`{text}` is no amount that leaves in a month"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_traffic_are_read() {
        assert_eq!(
            (size("100GB"), size("1.5TB"), size("2GiB")),
            (Ok(100_000_000_000), Ok(1_500_000_000_000), Ok(2 << 30))
        );
        for wrong in ["", "GB", "-1GB", "1e30GB", "5 parsecs"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
