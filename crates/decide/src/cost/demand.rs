//! What has to be paid for, read off a specification.

use daybook_model::quantity::bytes;
use daybook_model::spec::{Artifact, Kind, Volume};
use daybook_model::{Service, ServiceName, Spec, Target, VolumeName};

use super::pack::Size;

/// What a replica is taken to need where nothing says it.
const USUAL: Size = Size { cpu_millis: 250, memory_mib: 256, gpus: 0 };
/// What a volume is taken to hold where nothing says it: 10 GiB.
const USUAL_BYTES: u64 = 10 << 30;

/// What has to be paid for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// What runs all the time.
    pub needs: Vec<Need>,
    /// What is kept.
    pub storage: Vec<Storage>,
    /// Services whose cost nobody can tell from the manifest, and why.
    pub untold: Vec<(ServiceName, &'static str)>,
    /// It runs in a cluster.
    pub cluster: bool,
    /// Users come in through a load balancer.
    pub balancer: bool,
    /// Users come in.
    pub public: bool,
}

/// The replicas of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Whose.
    pub service: ServiceName,
    /// How many.
    pub replicas: u32,
    /// What each may use.
    pub each: Size,
    /// Its processor is taken to be what is usual: no limit is written.
    pub usual_cpu: bool,
    /// Its memory is.
    pub usual_memory: bool,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Which.
    pub volume: VolumeName,
    /// What it holds.
    pub bytes: u64,
    /// That is what is usual: no size is written.
    pub usual: bool,
}

impl Demand {
    /// What `spec` needs, with the fewest replicas that it allows.
    pub fn of(spec: &Spec) -> Self {
        let mut demand = Self::default();
        for service in spec.services.values().filter(|service| !service.stopped) {
            match (&service.artifact, &service.kind) {
                (Artifact::Chart(_), _) => {
                    demand.untold.push((service.name.clone(), "what a chart runs is its own affair"));
                }
                (Artifact::Static { .. } | Artifact::StatusPage(_), _) => {}
                (_, Kind::Service) => demand.needs.push(Need::of(service)),
                (_, Kind::Task | Kind::Job(_)) => {
                    demand.untold.push((service.name.clone(), "it runs now and then, on what the others leave free"));
                }
            }
        }
        let own = spec.volumes.iter().filter(|(_, volume)| !volume.external);
        demand.storage = own.map(|(name, volume)| Storage::of(name, volume)).collect();
        demand.public = spec.services.values().any(|service| !service.routes.is_empty());
        if let Some(Target::Kubernetes(cluster)) = &spec.target {
            demand.cluster = true;
            demand.balancer = demand.public && !cluster.reaches_pods;
        }
        demand
    }

    /// Each replica, and whose it is.
    pub fn replicas(&self) -> Vec<(usize, Size)> {
        let each = self.needs.iter().enumerate();
        each.flat_map(|(at, need)| std::iter::repeat_n((at, need.each), need.replicas as usize)).collect()
    }
}

impl Need {
    fn of(service: &Service) -> Self {
        let resources = &service.container.resources;
        let memory = resources.memory_bytes.or(resources.reserve_memory_bytes).map(|bytes| bytes.div_ceil(1 << 20));
        let cpu = resources.cpu_millis.or(resources.reserve_cpu_millis);
        let gpus = match resources.gpus {
            // All of whatever machine it is on: one at least.
            Some(u32::MAX) => 1,
            other => u64::from(other.unwrap_or(0)),
        };
        Self {
            service: service.name.clone(),
            replicas: service.scale.min,
            each: Size {
                cpu_millis: cpu.unwrap_or(USUAL.cpu_millis),
                memory_mib: memory.unwrap_or(USUAL.memory_mib),
                gpus,
            },
            usual_cpu: cpu.is_none(),
            usual_memory: memory.is_none(),
        }
    }
}

impl Storage {
    fn of(name: &VolumeName, volume: &Volume) -> Self {
        let written = volume.size.or_else(|| volume.driver_opts.get("size").and_then(|size| bytes(size)));
        Self { volume: name.clone(), bytes: written.unwrap_or(USUAL_BYTES), usual: written.is_none() }
    }
}
