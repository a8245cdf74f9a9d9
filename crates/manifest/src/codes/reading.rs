//! Codes of what is found while a file is read.

use super::{Explanation, error, warning};

pub(super) const TABLE: &[Explanation] = &[
    error(
        "M0101",
        "a NUL byte",
        "A manifest is text. The file holds a NUL byte, so it is damaged or in another encoding (UTF-16, for one). Save it as UTF-8.",
        "services:\n  web: {image: \"a\0\"}\n",
    ),
    error(
        "M0102",
        "not YAML",
        "The file breaks a rule of YAML 1.2, so nothing after this place has a meaning. Common causes: a tab in the indentation, a missing space after `:`, a quote or bracket that is not closed, a value with `: ` in it that is not quoted.",
        "services:\n\tweb: {image: nginx}\n",
    ),
    error(
        "M0103",
        "too deep",
        "Values may stand 64 deep in one another. No manifest needs that; a file that does is damaged or hostile.",
        "x-deep: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
    ),
    error(
        "M0104",
        "unknown alias",
        "`*name` repeats what stands at `&name`, which must come before it in the same file and cannot contain the alias itself.",
        "services:\n  web:\n    image: nginx\n    labels: *common\n",
    ),
    warning(
        "M0105",
        "unknown tag",
        "Of YAML's tags, the usual ones (`!!str` and so on) are known, and two of Compose's: `!reset` takes away what an earlier file said, `!override` replaces it without merging. Any other has no effect, as in Compose.",
        "services:\n  web: {image: !custom nginx}\n",
    ),
    error(
        "M0106",
        "too much",
        "What a manifest holds is bounded, with everything that aliases and `extends` copy and that files and variables bring, so that a small file cannot fill the memory. Ten thousand services are within the bounds. Write the repeated part once, as a service that the others extend, and give long texts as files.",
        "x-a: &a [x, x, x, x, x, x, x, x, x, x]\nx-b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nx-c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nx-d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\nx-e: [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\n",
    ),
    error(
        "M0107",
        "unknown key",
        "The key is not known at this place. It may be misspelled, or stand one level too high or too low: indentation decides what it belongs to. Keys that begin with `x-` are left alone everywhere.",
        "services:\n  web:\n    image: nginx\n    enviroment: {A: b}\n",
    ),
    error(
        "M0108",
        "a key that is no name",
        "Keys are single values. A list or a mapping as a key usually means that braces of a template were not quoted: write `\"{{ value }}\"`.",
        "services:\n  web:\n    image: nginx\n    labels: {{a: b}: c}\n",
    ),
    error(
        "M0109",
        "a merge key without a mapping",
        "`<<` takes in a mapping, or a list of mappings; usually an alias: `<<: *common`.",
        "services:\n  web:\n    <<: text\n    image: nginx\n",
    ),
    error(
        "M0110",
        "a key written twice",
        "A mapping has each key once. Of two, one would silently have no effect, so neither is taken.",
        "services:\n  web:\n    image: nginx\n    image: httpd\n",
    ),
    warning(
        "M0111",
        "not honoured",
        "Compose has this key, and Daybook does nothing with it. The message says why, and what to use instead. Nothing is dropped silently.",
        "services:\n  web:\n    image: nginx\n    mac_address: 02:42:ac:11:65:43\n",
    ),
    error(
        "M0112",
        "an empty item",
        "An item of a list says nothing. Give it a value, or remove the hyphen.",
        "services:\n  web:\n    image: nginx\n    cap_add:\n      -\n",
    ),
    error(
        "M0113",
        "not one of the known words",
        "Only certain words have a meaning here. The message lists them.",
        "services:\n  web:\n    image: nginx\n    restart: sometimes\n",
    ),
    error(
        "M0114",
        "a value in the wrong form",
        "The value is not of the form that the key needs: a duration is `90s` or `1m30s`, a size is `256Mi`, cores are `500m` or `0.5`, a share is `10%`.",
        "services:\n  web:\n    image: nginx\n    stop_grace_period: soon\n",
    ),
    warning(
        "M0115",
        "not honoured yet",
        "Daybook has the word for something that a later version will do. Until then it has no effect.",
        "services:\n  web: {image: nginx}\nbudget: {monthly: 300 USD}\n",
    ),
    error(
        "M0116",
        "a value of the wrong kind",
        "A list stands where a mapping belongs, or the like. Items of lists begin with `- `; entries of mappings are `key: value`.",
        "services:\n  web:\n    image: [nginx]\n",
    ),
    error("M0117", "an empty file", "The file has no content. A manifest has at least one service.", "\n"),
    error(
        "M0118",
        "not a name",
        "Names are 1 to 63 letters, digits, `_`, `.` and `-`, and begin with a letter or a digit. They become host names, directories and labels, so they hold nothing that any of these would interpret.",
        "services:\n  \"web server\": {image: nginx}\n",
    ),
    error(
        "M0119",
        "something is missing",
        "The mapping lacks an entry without which it has no meaning. The message names it.",
        "services:\n  web:\n    image: nginx\n    ports: [{published: \"80\"}]\n",
    ),
    error(
        "M0120",
        "no name for the app",
        "The app is named after its directory, unless the manifest names it; and nothing of this directory's name can be used. Write `app: NAME` at the top.",
        "services:\n  web: {image: nginx}\n",
    ),
    error(
        "M0121",
        "nothing to run",
        "A service needs an `image`, a `build`, or a `static` directory. A service that `extends` another, or begins `from` it, has what the other has.",
        "services:\n  web: {ports: [\"80:80\"]}\n",
    ),
    error(
        "M0122",
        "no services",
        "The manifest describes nothing that could run. Services stand beneath `services:`.",
        "app: shop\n",
    ),
    error(
        "M0123",
        "a target that is none",
        "An environment runs as plain processes (`process`), in the server's Docker or Podman (`docker`), or in a cluster: `kubernetes://CONTEXT`, where CONTEXT is one of the kubeconfig's; `kubernetes://CONTEXT/NAMESPACE` keeps to one namespace.",
        "target: k8s://prod\nservices:\n  web: {image: nginx}\n",
    ),
    error(
        "M0124",
        "a fleet that cannot be rolled out",
        "A fleet names environments wave by wave. Each is described in `environments`, and is in one wave: what it names twice, or misspells, would be rolled out at another time than was meant.",
        "services:\n  web: {image: nginx}\nenvironments:\n  eu: {target: kubernetes://eu}\nfleets:\n  production: {waves: [[ue]]}\n",
    ),
    error(
        "M0125",
        "a chart that cannot be released",
        "A service with `helm` is released by Helm as a whole: what it runs, listens on and keeps is in the chart and its values, so other keys of a service mean nothing for it. Its name is the name of the release. `chart` is a directory of yours, `oci://…`, or a name in the repository `repo`.",
        "target: kubernetes://prod\nservices:\n  cache: {helm: {chart: redis}}\n",
    ),
    error(
        "M0126",
        "a budget that cannot be kept to",
        "A budget says what an environment may cost in a month (`monthly: 300 USD`) and whose prices count (`at: aws/eu-central-1`): `daybook cost` compares them. `over: block` refuses a plan that costs more than that and more than what runs; without it the plan says so.",
        "budget: {at: hetzner/eu, monthly: a lot}\nservices:\n  web: {image: nginx}\n",
    ),
    error(
        "M0127",
        "a policy that cannot be kept to",
        "A policy says what refuses a plan (`deny`: checks by id or name, or a severity) and what is let pass all the same. A waiver names its check, says why (`reason`), and for how long (`until: 2027-03-31`): what nobody has to explain, and nothing ends, is no waiver but a hole.",
        "policy:\n  waive:\n    - {check: latest-tag, until: some day}\nservices:\n  web: {image: nginx}\n",
    ),
];
