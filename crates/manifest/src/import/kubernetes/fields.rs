//! The fields of Kubernetes' objects.

pub(super) use crate::import::fields::{Fate, Field, check};
use Fate::{Lost, LostUnless, Moot, Read};

const ONE_MACHINE: &str = "everything runs on one machine";
const LEAVE_OUT: &str = "";

/// The object itself.
pub(super) const OBJECT: &[Field] = &[
    ("apiVersion", Read),
    ("kind", Read),
    ("metadata", Read),
    ("spec", Read),
    ("status", Moot),
    ("data", Read),
    ("stringData", Read),
    ("binaryData", Read),
    ("type", Moot),
    ("immutable", Moot),
];

/// `metadata`.
pub(super) const METADATA: &[Field] = &[
    ("name", Read),
    ("namespace", Read),
    ("generateName", Read),
    ("labels", Read),
    ("annotations", Read),
    ("uid", Moot),
    ("resourceVersion", Moot),
    ("generation", Moot),
    ("creationTimestamp", Moot),
    ("managedFields", Moot),
    ("selfLink", Moot),
    ("ownerReferences", Moot),
    ("finalizers", Lost("nothing waits for others before it is removed", LEAVE_OUT)),
];

/// `spec` of a Deployment, StatefulSet, DaemonSet or ReplicaSet.
pub(super) const WORKLOAD: &[Field] = &[
    ("replicas", Read),
    ("selector", Moot),
    ("template", Read),
    ("strategy", Read),
    ("updateStrategy", Read),
    ("progressDeadlineSeconds", Read),
    ("volumeClaimTemplates", Read),
    ("serviceName", Moot),
    ("minReadySeconds", LostUnless("0", "readiness is several good answers in a row", "see `rollout` for probation")),
    ("revisionHistoryLimit", LostUnless("10", "releases are kept by Daybook's own rule", LEAVE_OUT)),
    (
        "paused",
        LostUnless("false", "a service has no rollout that waits", "do not run `daybook up` until it should go on"),
    ),
    ("podManagementPolicy", LostUnless("OrderedReady", "replicas start together", LEAVE_OUT)),
    ("persistentVolumeClaimRetentionPolicy", Lost("volumes are kept until they are removed by name", LEAVE_OUT)),
    ("ordinals", Lost("replicas have no numbers that programs may rely on", LEAVE_OUT)),
    ("templateGeneration", Moot),
];

/// `spec` of a Job.
pub(super) const JOB: &[Field] = &[
    ("template", Read),
    ("suspend", Read),
    ("selector", Moot),
    ("manualSelector", Moot),
    ("completions", LostUnless("1", "a task runs once", "let one run do all of the work")),
    ("parallelism", LostUnless("1", "a task runs once", "let one run do all of the work")),
    ("completionMode", LostUnless("NonIndexed", "a task runs once", "let one run do all of the work")),
    ("backoffLimit", LostUnless("6", "what fails is not tried again", "let the program try again")),
    ("backoffLimitPerIndex", Lost("a task runs once", LEAVE_OUT)),
    ("maxFailedIndexes", Lost("a task runs once", LEAVE_OUT)),
    ("podFailurePolicy", Lost("a task that fails is not looked into", LEAVE_OUT)),
    ("podReplacementPolicy", Lost("a task runs once", LEAVE_OUT)),
    ("successPolicy", Lost("a task runs once", LEAVE_OUT)),
    ("activeDeadlineSeconds", Lost("a task may take as long as it takes", "bound it in the program")),
    ("ttlSecondsAfterFinished", Lost("what has ended is cleared away by Daybook's own rule", LEAVE_OUT)),
    ("managedBy", Moot),
];

/// `spec` of a CronJob.
pub(super) const CRON_JOB: &[Field] = &[
    ("schedule", Read),
    ("timeZone", Read),
    ("suspend", Read),
    ("concurrencyPolicy", Read),
    ("jobTemplate", Read),
    ("startingDeadlineSeconds", Lost("a run that was missed is not caught up with", LEAVE_OUT)),
    ("successfulJobsHistoryLimit", LostUnless("3", "runs are kept by Daybook's own rule", LEAVE_OUT)),
    ("failedJobsHistoryLimit", LostUnless("1", "runs are kept by Daybook's own rule", LEAVE_OUT)),
];

/// `spec` of a pod.
pub(super) const POD: &[Field] = &[
    ("containers", Read),
    ("initContainers", Read),
    ("volumes", Read),
    ("terminationGracePeriodSeconds", Read),
    ("restartPolicy", Read),
    ("securityContext", Read),
    ("hostNetwork", Read),
    ("hostPID", Read),
    ("hostIPC", Read),
    ("hostAliases", Read),
    ("dnsConfig", Read),
    ("hostname", Read),
    ("imagePullSecrets", Read),
    (
        "dnsPolicy",
        LostUnless("ClusterFirst", "names are always looked up by the runtime", "see `dns` and `extra_hosts`"),
    ),
    ("subdomain", Lost("a replica has no name of its own", "address the service")),
    ("setHostnameAsFQDN", LostUnless("false", "a replica has no name of its own", LEAVE_OUT)),
    ("shareProcessNamespace", LostUnless("false", "a service is one container", LEAVE_OUT)),
    ("serviceAccountName", LostUnless("default", "there is no API server to log in to", "give credentials as secrets")),
    ("serviceAccount", LostUnless("default", "there is no API server to log in to", "give credentials as secrets")),
    ("automountServiceAccountToken", Moot),
    ("enableServiceLinks", Moot),
    ("nodeSelector", Lost(ONE_MACHINE, LEAVE_OUT)),
    ("nodeName", Lost(ONE_MACHINE, LEAVE_OUT)),
    ("affinity", Lost(ONE_MACHINE, LEAVE_OUT)),
    ("tolerations", Lost(ONE_MACHINE, LEAVE_OUT)),
    ("topologySpreadConstraints", Lost(ONE_MACHINE, LEAVE_OUT)),
    ("schedulerName", LostUnless("default-scheduler", ONE_MACHINE, LEAVE_OUT)),
    ("priorityClassName", Lost("no replica gives way to another", LEAVE_OUT)),
    ("priority", Lost("no replica gives way to another", LEAVE_OUT)),
    ("preemptionPolicy", LostUnless("PreemptLowerPriority", "no replica gives way to another", LEAVE_OUT)),
    (
        "runtimeClassName",
        Lost("classes of runtimes belong to a cluster", "`runtime` names one of the container engine"),
    ),
    ("overhead", Lost("only the program's own limits count", LEAVE_OUT)),
    ("activeDeadlineSeconds", Lost("a replica may run as long as it runs", "bound it in the program")),
    ("readinessGates", Lost("the check alone decides who is ready", LEAVE_OUT)),
    ("os", Moot),
    ("hostUsers", LostUnless("true", "users are mapped by the container engine", "see `userns_mode`")),
    ("resources", Lost("a service is one container, with limits of its own", "see `resources`")),
    ("resourceClaims", Lost("devices are not claimed", "see `gpus` and `devices`")),
    ("schedulingGates", Lost(ONE_MACHINE, LEAVE_OUT)),
    ("ephemeralContainers", Lost("they are for looking into a pod", "use `daybook exec`")),
];

/// A container.
pub(super) const CONTAINER: &[Field] = &[
    ("name", Read),
    ("image", Read),
    ("imagePullPolicy", Read),
    ("command", Read),
    ("args", Read),
    ("workingDir", Read),
    ("env", Read),
    ("envFrom", Read),
    ("ports", Read),
    ("resources", Read),
    ("volumeMounts", Read),
    ("livenessProbe", Read),
    ("readinessProbe", Read),
    ("startupProbe", Read),
    ("lifecycle", Read),
    ("securityContext", Read),
    ("stdin", Read),
    ("tty", Read),
    ("restartPolicy", Read),
    ("stdinOnce", LostUnless("false", "standard input stays open", LEAVE_OUT)),
    ("terminationMessagePath", LostUnless("/dev/termination-log", "the log says why it ended", "write it to the log")),
    ("terminationMessagePolicy", LostUnless("File", "the log says why it ended", LEAVE_OUT)),
    ("volumeDevices", Lost("block devices are not attached", "see `devices`")),
    ("resizePolicy", Moot),
    ("restartPolicyRules", Lost("one rule holds for all exit codes", "see `restart`")),
];

/// `securityContext` of a pod or a container.
pub(super) const SECURITY: &[Field] = &[
    ("runAsUser", Read),
    ("runAsGroup", Read),
    ("fsGroup", Read),
    ("supplementalGroups", Read),
    ("readOnlyRootFilesystem", Read),
    ("capabilities", Read),
    ("privileged", Read),
    ("allowPrivilegeEscalation", Read),
    ("seccompProfile", Read),
    ("sysctls", Read),
    ("runAsNonRoot", LostUnless("false", "it is not checked who a program runs as", "set `user`")),
    ("fsGroupChangePolicy", Moot),
    ("supplementalGroupsPolicy", LostUnless("Merge", "groups of the image are kept", LEAVE_OUT)),
    ("appArmorProfile", Lost("profiles are loaded on the machine", "name one in `security_opt`")),
    ("seLinuxOptions", Lost("labels belong to the machine", "give them in `security_opt`")),
    ("seLinuxChangePolicy", Moot),
    ("procMount", LostUnless("Default", "/proc is masked as usual", LEAVE_OUT)),
    ("windowsOptions", Lost("it concerns Windows", LEAVE_OUT)),
];

/// A probe.
pub(super) const PROBE: &[Field] = &[
    ("httpGet", Read),
    ("tcpSocket", Read),
    ("exec", Read),
    ("grpc", Read),
    ("initialDelaySeconds", Read),
    ("periodSeconds", Read),
    ("timeoutSeconds", Read),
    ("failureThreshold", Read),
    ("successThreshold", LostUnless("1", "several good answers in a row are always needed", LEAVE_OUT)),
    ("terminationGracePeriodSeconds", Lost("the time to stop is one for all reasons", "see `stop_grace_period`")),
];

/// `spec` of a Service.
pub(super) const SERVICE: &[Field] = &[
    ("type", Read),
    ("selector", Read),
    ("ports", Read),
    ("externalName", Read),
    ("clusterIP", Moot),
    ("clusterIPs", Moot),
    ("ipFamilies", Moot),
    ("ipFamilyPolicy", Moot),
    ("internalTrafficPolicy", LostUnless("Cluster", ONE_MACHINE, LEAVE_OUT)),
    ("externalTrafficPolicy", LostUnless("Cluster", ONE_MACHINE, LEAVE_OUT)),
    ("trafficDistribution", Lost(ONE_MACHINE, LEAVE_OUT)),
    (
        "sessionAffinity",
        LostUnless("None", "the edge sends a request to whichever replica is free", "keep sessions in a store"),
    ),
    ("sessionAffinityConfig", Lost("the edge sends a request to whichever replica is free", LEAVE_OUT)),
    ("publishNotReadyAddresses", LostUnless("false", "only healthy replicas get requests", LEAVE_OUT)),
    ("externalIPs", Lost("published ports are offered at every address", "`ports` may begin with an address")),
    ("loadBalancerIP", Lost("published ports are offered at every address", "`ports` may begin with an address")),
    ("loadBalancerClass", Lost("the edge is the load balancer", LEAVE_OUT)),
    ("loadBalancerSourceRanges", Lost("the edge lets every address in", "use the machine's firewall")),
    ("allocateLoadBalancerNodePorts", Moot),
    ("healthCheckNodePort", Moot),
];

/// `spec` of an Ingress.
pub(super) const INGRESS: &[Field] =
    &[("rules", Read), ("tls", Read), ("defaultBackend", Read), ("ingressClassName", Moot)];

/// `spec` of an HTTPRoute.
pub(super) const HTTP_ROUTE: &[Field] = &[("hostnames", Read), ("rules", Read), ("parentRefs", Read)];

/// A rule of an HTTPRoute.
pub(super) const ROUTE_RULE: &[Field] = &[
    ("matches", Read),
    ("backendRefs", Read),
    ("name", Moot),
    ("filters", Lost("the edge changes no request and no answer", "let the program do it")),
    ("timeouts", Lost("the edge waits 60 s for the head of an answer", LEAVE_OUT)),
    ("retry", Lost("the edge asks a replica once", "let the caller try again")),
    ("sessionPersistence", Lost("the edge sends a request to whichever replica is free", "keep sessions in a store")),
];

/// `spec` of a HorizontalPodAutoscaler.
pub(super) const AUTOSCALER: &[Field] = &[
    ("scaleTargetRef", Read),
    ("minReplicas", Read),
    ("maxReplicas", Read),
    ("metrics", Read),
    ("targetCPUUtilizationPercentage", Read),
    ("behavior", Lost("how fast replicas come and go is not set", LEAVE_OUT)),
];

/// `spec` of a PersistentVolumeClaim.
pub(super) const CLAIM: &[Field] = &[
    ("accessModes", Read),
    ("resources", Lost("the size of a volume is not bounded", "keep an eye on the disk")),
    ("storageClassName", Lost("a volume is a directory of this machine", LEAVE_OUT)),
    ("volumeName", Moot),
    ("volumeMode", LostUnless("Filesystem", "block devices are not attached", "see `devices`")),
    ("selector", Lost("a volume is a directory of this machine", LEAVE_OUT)),
    ("dataSource", Lost("a volume begins empty", "copy the data in")),
    ("dataSourceRef", Lost("a volume begins empty", "copy the data in")),
    ("volumeAttributesClassName", Lost("a volume is a directory of this machine", LEAVE_OUT)),
];
