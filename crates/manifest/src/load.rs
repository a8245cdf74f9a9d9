//! From a bundle to a specification.

use std::collections::BTreeMap;

use daybook_model::money::{Currency, Money};
use daybook_model::policy::{Policy, Remarks};
use daybook_model::spec::{Budget, Quota};
use daybook_model::{AppName, Digest, EnvKey, EnvName, SecretName, Spec, Target};

use crate::bundle::{Bundle, Cipher, Files};
use crate::context::{Context, Problem};
use crate::diagnostic::Diagnostic;
use crate::fleet::{self, Fleet};
use crate::keys::{Shape, check, root};
use crate::lower::{Manifest, read};
use crate::tree::{Map, Node, Span};
use crate::units::percent;
use crate::{check as whole, document, lower, policy};

/// What is asked of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The environment to make the specification of.
    pub environment: EnvName,
    /// Profiles to activate; `*` is all. Where there are none, `COMPOSE_PROFILES` is asked.
    pub profiles: Vec<String>,
    /// The app's name, whatever the manifest says.
    pub app: Option<AppName>,
    /// The runtime that will carry it out where neither the manifest nor [`Options::target`] names a target, if it is
    /// known: `process`, `docker`. What this runtime can never do is an error.
    pub runtime: Option<String>,
    /// Where it runs, whatever the manifest says.
    pub target: Option<Target>,
    /// What it is wanted for.
    pub aim: Aim,
}

/// What a manifest is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aim {
    /// To be checked or planned, maybe away from its surroundings: what is needed to carry it out and
    /// cannot be had is a warning.
    #[default]
    Look,
    /// To be carried out: what is needed and cannot be had is an error.
    Act,
}

impl Options {
    /// The options for one environment, with nothing else asked.
    pub fn new(environment: EnvName) -> Self {
        Self { environment, profiles: Vec::new(), app: None, runtime: None, target: None, aim: Aim::Look }
    }

    /// The options under which every file is read that any others could need.
    pub(crate) fn collecting(environment: Option<&str>) -> Self {
        let usual = || EnvName::new("collecting").expect("a literal name is valid");
        let environment = environment.and_then(|name| EnvName::new(name).ok()).unwrap_or_else(usual);
        Self { profiles: vec!["*".to_owned()], ..Self::new(environment) }
    }
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The desired state; `None` when there are errors.
    pub spec: Option<Spec>,
    /// Everything that is to be said, by file and place; errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The digest of everything that was read.
    pub digest: Digest,
    /// What the manifest says about the environment itself.
    pub environment: EnvironmentSettings,
    /// Names of the environments that the manifest describes.
    pub environments: Vec<String>,
    /// The fleets that it describes.
    pub fleets: BTreeMap<String, Fleet>,
    /// Values of secrets that the manifest takes from variables (`secrets: {x: {environment: X}}`):
    /// to be sealed under these names. The specification refers to them.
    pub provided_secrets: BTreeMap<SecretName, String>,
    /// What the text shows beside the specification.
    pub remarks: Remarks,
}

/// What a manifest says about an environment itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvironmentSettings {
    /// Changes need a confirmation.
    pub protected: bool,
    /// What it is held to.
    pub policy: Policy,
}

/// Makes the specification of one environment. Pure: reads the bundle, and nothing else.
pub fn load(bundle: &Bundle, options: &Options) -> Loaded {
    run(&bundle.entries, &bundle.root, bundle, options)
}

pub(crate) fn run(entries: &[String], root: &str, files: &dyn Files, options: &Options) -> Loaded {
    let recorded = Recorded { files, hash: std::cell::RefCell::default() };
    let ctx = Context::new(&recorded, options.aim);
    let mut loaded = Loaded {
        spec: None,
        diagnostics: Vec::new(),
        digest: Digest::of(b""),
        environment: EnvironmentSettings::default(),
        environments: Vec::new(),
        fleets: BTreeMap::new(),
        provided_secrets: BTreeMap::new(),
        remarks: Remarks::default(),
    };
    if let Some(tree) = document::assemble(&ctx, entries, root, Some(options.environment.as_str())) {
        fill(&ctx, &tree, root, options, &mut loaded);
    }
    loaded.diagnostics = ctx.into_diagnostics();
    if loaded.diagnostics.iter().any(Diagnostic::is_error) {
        loaded.spec = None;
    }
    loaded.digest = Digest::of(&serde_json::to_vec(&recorded.hash.into_inner()).unwrap_or_default());
    loaded
}

/// How many environments a manifest may describe: whoever collects its files reads it once for each.
const MAX_ENVIRONMENTS: usize = 100;

fn fill(ctx: &Context<'_>, tree: &Node, root: &str, options: &Options, loaded: &mut Loaded) {
    check::check(ctx, tree, &Shape::Object(root::ROOT), "a manifest");
    let described = tree.get("environments").and_then(Node::map).into_iter().flat_map(Map::iter);
    for (index, entry) in described.enumerate() {
        if index == MAX_ENVIRONMENTS {
            let problem = Problem::new("M0106", entry.key_span, format!("more than {MAX_ENVIRONMENTS} environments"));
            ctx.report(problem.label("this one is too many"));
            break;
        }
        loaded.environments.push(entry.key.to_string());
    }
    loaded.fleets = fleet::fleets(ctx, tree);
    loaded.environment = settings(ctx, tree, options.environment.as_str());
    let manifest = Manifest::new(ctx, tree, &profiles(ctx, options));
    if manifest.services().next().is_none() {
        let span = Span { end: 0, start: 0, ..tree.span };
        ctx.report(Problem::new("M0122", span, "the manifest describes no service").help("begin with `services:`"));
    }
    // Without a good name there is an error and so no specification; the rest is looked at all the same.
    let app = lower::app_name(ctx, tree, options.app.as_ref(), root);
    let app = app.unwrap_or_else(|| AppName::new("unnamed").expect("a literal name is valid"));
    let mut spec = lower::lower(&manifest, EnvKey::new(app, options.environment.clone()));
    spec.target = options.target.clone().or_else(|| target(ctx, tree, options.environment.as_str()));
    spec.quota = quota(tree, options.environment.as_str());
    spec.protected = loaded.environment.protected;
    spec.budget = budget(ctx, tree, options.environment.as_str());
    spec.rules = lower::rules(&manifest, options.environment.as_str());
    spec.remedies = lower::remedies(&manifest, own_or_whole(tree, options.environment.as_str(), "remedies"));
    spec.backups = lower::backups(&manifest, own_or_whole(tree, options.environment.as_str(), "backups"));
    spec.notify = lower::channels(&manifest, own_or_whole(tree, options.environment.as_str(), "notify"));
    spec.forward = lower::forward(&manifest, own_or_whole(tree, options.environment.as_str(), "forward"));
    spec.receive = lower::receive(&manifest, own_or_whole(tree, options.environment.as_str(), "receive"));
    let on_call = own_or_whole(tree, options.environment.as_str(), "on_call");
    spec.on_call = lower::on_call(&manifest, on_call, &spec.notify);
    spec.maintenance = lower::maintenance(&manifest, own_or_whole(tree, options.environment.as_str(), "maintenance"));
    let vault = own_or_whole(tree, options.environment.as_str(), "vault");
    spec.vault = lower::vault(&manifest, vault);
    let runtime = spec.target.as_ref().map(Target::runtime).or(options.runtime.as_deref());
    whole::check(&manifest, &spec, runtime);
    loaded.provided_secrets = manifest.provided.into_inner();
    loaded.remarks = manifest.remarks.into_inner();
    loaded.spec = Some(spec);
}

fn settings(ctx: &Context<'_>, tree: &Node, environment: &str) -> EnvironmentSettings {
    let protected = own(tree, environment, "protected").and_then(Node::scalar).and_then(crate::units::boolean);
    let policies = [tree.get("policy"), own(tree, environment, "policy")];
    let policy = policies.into_iter().flatten().fold(Policy::default(), |all, node| policy::read(ctx, node, all));
    EnvironmentSettings { protected: protected.unwrap_or(false), policy }
}

/// A key that the manifest says of one environment.
pub(crate) fn own<'t>(tree: &'t Node, environment: &str, key: &str) -> Option<&'t Node> {
    tree.get("environments")?.get(environment)?.get(key)
}

/// The same, or else what it says of all.
pub(crate) fn own_or_whole<'t>(tree: &'t Node, environment: &str, key: &str) -> Option<&'t Node> {
    own(tree, environment, key).or_else(|| tree.get(key))
}

/// Where the manifest says that an environment runs: its own `target`, else that of the whole manifest.
fn target(ctx: &Context<'_>, tree: &Node, environment: &str) -> Option<Target> {
    let node = own_or_whole(tree, environment, "target")?;
    match node.scalar()?.parse() {
        Ok(target) => Some(target),
        Err(why) => {
            ctx.report(Problem::new("M0123", node.span, why).label("no target"));
            None
        }
    }
}

/// What the manifest lets an environment have: its own `quota`, else that of the whole manifest.
fn quota(tree: &Node, environment: &str) -> Option<Quota> {
    let node = own_or_whole(tree, environment, "quota")?;
    let quota = Quota { cpu_millis: read::cpu(node, "cpu"), memory_bytes: read::bytes(node, "memory") };
    (quota != Quota::default()).then_some(quota)
}

/// What an environment may cost: its own `budget`, else that of the whole manifest.
fn budget(ctx: &Context<'_>, tree: &Node, environment: &str) -> Option<Budget> {
    let node = own_or_whole(tree, environment, "budget")?;
    let Some(place) = read::text(node, "at") else {
        let problem =
            Problem::new("M0115", node.span, "`budget` is not honoured while nobody knows whose prices count");
        ctx.report(problem.label("write `at: PROVIDER/REGION`").help("`daybook cost` compares them"));
        return None;
    };
    let monthly = node.get("monthly").and_then(|node| Some((node.scalar()?, node.span)));
    let monthly = monthly.and_then(|(written, span)| match amount(written) {
        Ok(amount) => Some(amount),
        Err(why) => {
            ctx.report(Problem::new("M0126", span, why).label("write an amount and its currency: 300 USD"));
            None
        }
    });
    Some(Budget {
        monthly: monthly.map(|(amount, _)| amount),
        currency: monthly.map_or(Currency::USD, |(_, currency)| currency),
        blocks: read::text(node, "over").as_deref() == Some("block"),
        place,
        egress_bytes: read::bytes(node, "egress"),
        headroom: read::text(node, "headroom").and_then(|text| percent(&text)).unwrap_or(Budget::HEADROOM).min(90),
        line: Some(ctx.line(node.span)),
    })
}

/// `300 USD`, or `300`, which are US dollars.
fn amount(written: &str) -> Result<(Money, Currency), String> {
    let (amount, currency) = written.split_once(' ').unwrap_or((written, "USD"));
    let amount: Money = amount.parse()?;
    if amount < Money::ZERO {
        return Err(format!("`{written}` is less than nothing"));
    }
    Ok((amount, currency.trim().parse()?))
}

fn profiles(ctx: &Context<'_>, options: &Options) -> Vec<String> {
    if !options.profiles.is_empty() {
        return options.profiles.clone();
    }
    let listed = ctx.files.variable("COMPOSE_PROFILES").unwrap_or_default();
    listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Keeps what was read, for the digest.
struct Recorded<'a> {
    files: &'a dyn Files,
    hash: std::cell::RefCell<BTreeMap<String, Digest>>,
}

impl Files for Recorded<'_> {
    fn read(&self, path: &str) -> Result<String, crate::bundle::ReadError> {
        let text = self.files.read(path)?;
        self.hash.borrow_mut().entry(path.to_owned()).or_insert_with(|| Digest::of(text.as_bytes()));
        Ok(text)
    }

    fn exists(&self, path: &str) -> bool {
        self.files.exists(path)
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        self.files.matching(pattern)
    }

    fn open(&self, path: &str, cipher: Cipher) -> Option<Result<String, crate::bundle::ReadError>> {
        let opened = self.files.open(path, cipher)?;
        if let Ok(text) = &opened {
            let digest = Digest::of(text.as_bytes());
            self.hash.borrow_mut().entry(format!("opened {path}")).or_insert(digest);
        }
        Some(opened)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = self.files.variable(name)?;
        self.hash.borrow_mut().entry(format!("${name}")).or_insert_with(|| Digest::of(value.as_bytes()));
        Some(value)
    }
}
