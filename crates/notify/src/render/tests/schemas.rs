//! Each service's contract, written down from its documentation.

use serde_json::{Value, json};

/// <https://developer.pagerduty.com/docs/send-alert-event>
pub(super) fn event() -> Value {
    let key = json!({"type": "string", "minLength": 32, "maxLength": 32});
    let follow = json!({
        "required": ["dedup_key"],
        "properties": {"event_action": {"enum": ["acknowledge", "resolve"]}, "payload": false},
    });
    let trigger = json!({"required": ["payload"], "properties": {"event_action": {"const": "trigger"}}});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["routing_key", "event_action"],
        "properties": {
            "routing_key": key,
            "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
            "dedup_key": {"type": "string", "maxLength": 255},
            "client": {"type": "string"},
            "client_url": {"type": "string", "pattern": "^https?://"},
            "links": hrefs(),
            "payload": {
                "type": "object",
                "additionalProperties": false,
                "required": ["summary", "source", "severity"],
                "properties": {
                    "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                    "source": {"type": "string", "minLength": 1},
                    "severity": {"enum": ["critical", "error", "warning", "info"]},
                    "timestamp": {"type": "string", "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d"},
                    "component": {"type": "string"},
                    "group": {"type": "string"},
                    "class": {"type": "string"},
                    "custom_details": {"type": "object"},
                },
            },
        },
        "oneOf": [trigger, follow],
    })
}

/// <https://developer.pagerduty.com/docs/send-change-event>
pub(super) fn change() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["routing_key", "payload"],
        "properties": {
            "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
            "links": hrefs(),
            "payload": {
                "type": "object",
                "additionalProperties": false,
                "required": ["summary"],
                "properties": {
                    "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                    "source": {"type": "string"},
                    "timestamp": {"type": "string"},
                    "custom_details": {"type": "object"},
                },
            },
        },
    })
}

fn hrefs() -> Value {
    json!({"type": "array", "items": {
        "type": "object",
        "additionalProperties": false,
        "required": ["href"],
        "properties": {"href": {"type": "string", "pattern": "^https?://"}, "text": {"type": "string"}},
    }})
}

/// <https://docs.slack.dev/reference/block-kit/blocks>
pub(super) fn slack() -> Value {
    let markdown = |most: usize| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["type", "text"],
            "properties": {
                "type": {"const": "mrkdwn"},
                "text": {"type": "string", "minLength": 1, "maxLength": most},
                "verbatim": {"type": "boolean"},
            },
        })
    };
    let header = json!({
        "additionalProperties": false,
        "required": ["type", "text"],
        "properties": {"type": {"const": "header"}, "text": {
            "type": "object",
            "required": ["type", "text"],
            "properties": {
                "type": {"const": "plain_text"},
                "text": {"type": "string", "minLength": 1, "maxLength": 150},
                "emoji": {"type": "boolean"},
            },
        }},
    });
    let section = json!({
        "additionalProperties": false,
        "required": ["type"],
        "properties": {
            "type": {"const": "section"},
            "text": markdown(3_000),
            "fields": {"type": "array", "minItems": 1, "maxItems": 10, "items": markdown(2_000)},
        },
        "anyOf": [{"required": ["text"]}, {"required": ["fields"]}],
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["text", "blocks"],
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 40_000},
            "blocks": {"type": "array", "minItems": 1, "maxItems": 50, "items": {"oneOf": [header, section]}},
        },
    })
}

/// <https://adaptivecards.io/explorer/>, as a message of Workflows carries it.
pub(super) fn teams() -> Value {
    let run = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type", "text"],
        "properties": {
            "type": {"const": "TextRun"},
            "text": {"type": "string"},
            "size": {"enum": ["Default", "Small", "Medium", "Large", "ExtraLarge"]},
            "weight": {"enum": ["Lighter", "Default", "Bolder"]},
            "color": {"enum": ["Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"]},
            "isSubtle": {"type": "boolean"},
        },
    });
    let block = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type", "inlines"],
        "properties": {"type": {"const": "RichTextBlock"}, "inlines": {"type": "array", "minItems": 1, "items": run}},
    });
    let action = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type", "title", "url"],
        "properties": {
            "type": {"const": "Action.OpenUrl"},
            "title": {"type": "string"},
            "url": {"type": "string", "pattern": "^https?://"},
        },
    });
    let card = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type", "version", "body"],
        "properties": {
            "$schema": {"type": "string"},
            "type": {"const": "AdaptiveCard"},
            "version": {"enum": ["1.2", "1.3", "1.4", "1.5"]},
            "msteams": {"type": "object"},
            "body": {"type": "array", "items": block},
            "actions": {"type": "array", "maxItems": 6, "items": action},
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["type", "attachments"],
        "properties": {"type": {"const": "message"}, "attachments": {"type": "array", "minItems": 1, "maxItems": 1, "items": {
            "type": "object",
            "required": ["contentType", "content"],
            "properties": {
                "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                "contentUrl": {"type": "null"},
                "content": card,
            },
        }}},
    })
}

/// <https://docs.ntfy.sh/publish/#publish-as-json>
pub(super) fn ntfy() -> Value {
    let action = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["action", "label", "url"],
        "properties": {
            "action": {"const": "view"},
            "label": {"type": "string"},
            "url": {"type": "string"},
            "clear": {"type": "boolean"},
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["topic"],
        "properties": {
            "topic": {"type": "string", "pattern": "^[-_A-Za-z0-9]{1,64}$"},
            "title": {"type": "string"},
            // Bytes in the documentation; each character has at least one.
            "message": {"type": "string", "minLength": 1, "maxLength": 4_096},
            "priority": {"type": "integer", "minimum": 1, "maximum": 5},
            "tags": {"type": "array", "items": {"type": "string"}},
            "click": {"type": "string"},
            "actions": {"type": "array", "minItems": 1, "maxItems": 3, "items": action},
        },
    })
}

/// Our own: see `render::webhook`.
pub(super) fn webhook() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["version", "delivery", "notice"],
        "properties": {
            "version": {"const": 1},
            "delivery": {"type": "string", "minLength": 1},
            "notice": {
                "type": "object",
                "required": ["key", "kind", "severity", "title", "at"],
                "properties": {
                    "kind": {"enum": ["triggered", "acknowledged", "resolved", "note", "change"]},
                    "severity": {"enum": ["critical", "error", "warning", "info"]},
                    "title": {"type": "string", "minLength": 1, "maxLength": 1_000},
                },
            },
        },
    })
}
