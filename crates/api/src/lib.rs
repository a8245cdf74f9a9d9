//! Wire types, the HTTP client, and the OpenAPI document.
