//! Which tenant a request names: host, path, query, header and API key must agree.
//!
//! Nothing overrides anything. A source that is silent says nothing; two sources that name different tenants end the
//! request, whoever would have won elsewhere.

use crate::ids::TenantId;

/// A place in a request that can name a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The host: a subdomain of the base domain or a custom host.
    Host,
    /// The path `/t/{slug}/graphql`.
    Path,
    /// The query parameter `?tenant=`.
    Query,
    /// The header `X-Tenant`: slug or id.
    Header,
    /// `tenant` in the payload of a socket's `connection_init`: slug or id.
    Init,
    /// The API key's own tenant.
    ApiKey,
}

impl Source {
    /// The name that people see in an error.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "the host",
            Self::Path => "the path",
            Self::Query => "the query parameter tenant",
            Self::Header => "the header X-Tenant",
            Self::Init => "the payload of connection_init",
            Self::ApiKey => "the API key",
        }
    }
}

/// Two sources name different tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} and {} name different tenants", .0.as_str(), .1.as_str())]
pub struct SourceMismatch(pub Source, pub Source);

/// The one tenant that all sources name; `None` if all are silent.
///
/// # Errors
/// [`SourceMismatch`] with the first two that disagree.
pub fn agree(named: &[(Source, TenantId)]) -> Result<Option<TenantId>, SourceMismatch> {
    let Some(((first, tenant), rest)) = named.split_first() else { return Ok(None) };
    match rest.iter().find(|(_, other)| other != tenant) {
        Some((other, _)) => Err(SourceMismatch(*first, *other)),
        None => Ok(Some(*tenant)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Id;

    const ALL: [Source; 6] = [Source::Host, Source::Path, Source::Query, Source::Header, Source::Init, Source::ApiKey];

    proptest! {
        /// Every combination of silent, one tenant and another: agreement exactly when at most one tenant is named.
        #[test]
        fn at_most_one_tenant_is_named(choices in proptest::array::uniform6(0u128..3)) {
            let named: Vec<_> = ALL.into_iter().zip(choices).filter(|(_, choice)| *choice > 0)
                .map(|(source, choice)| (source, TenantId::from_uuid(uuid::Uuid::from_u128(choice)))).collect();
            let distinct: std::collections::HashSet<_> = named.iter().map(|(_, tenant)| *tenant).collect();
            match agree(&named) {
                Ok(None) => prop_assert!(named.is_empty()),
                Ok(Some(tenant)) => prop_assert!(distinct.len() == 1 && distinct.contains(&tenant)),
                Err(SourceMismatch(one, other)) => {
                    prop_assert_eq!(distinct.len(), 2);
                    prop_assert_ne!(one, other);
                }
            }
        }
    }
}
