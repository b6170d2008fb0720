//! Every error code of the API: the one list for Rust, schema, documentation and SDK.
//!
//! Codes never change and are never reused; messages may. Two kinds: [`ErrorCode`] stands in `errors[].extensions.code`,
//! [`UserErrorCode`] in the `userErrors` of a mutation's payload.

/// When a code is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the document is looked at: the HTTP request, the credential, the tenant, the buckets.
    Request,
    /// When the document is read, before anything of it runs.
    Document,
    /// While a field runs; the other fields keep their data.
    Execution,
}

impl Phase {
    /// The word in the documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Request => "request",
            Phase::Document => "document",
            Phase::Execution => "execution",
        }
    }
}

macro_rules! error_codes {
    ($($variant:ident $code:literal $phase:ident $status:literal $json_status:literal $description:literal;)*) => {
        /// What went wrong, in `errors[].extensions.code`. Clients must accept codes they do not know.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, async_graphql::Enum)]
        pub enum ErrorCode {
            $(#[doc = $description] #[graphql(name = $code)] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant),*];

            /// The text in the response.
            pub const fn as_str(self) -> &'static str { match self { $(ErrorCode::$variant => $code,)* } }

            /// When it is decided.
            pub const fn phase(self) -> Phase { match self { $(ErrorCode::$variant => Phase::$phase,)* } }

            /// The HTTP status of an answer without `data` under `application/graphql-response+json`.
            ///
            /// An answer that holds `data`, even if it is null, is 200.
            pub const fn status(self) -> u16 { match self { $(ErrorCode::$variant => $status,)* } }

            /// The HTTP status of an answer without `data` under `application/json`.
            ///
            /// GraphQL over HTTP asks for 200 there as soon as the request is well-formed; what is decided before GraphQL
            /// keeps its status, so that clients which look at nothing else notice.
            pub const fn json_status(self) -> u16 { match self { $(ErrorCode::$variant => $json_status,)* } }

            /// What it means and what to do, one sentence.
            pub const fn description(self) -> &'static str { match self { $(ErrorCode::$variant => $description,)* } }

            /// The code with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($code => Some(ErrorCode::$variant),)* _ => None }
            }
        }
    };
}

error_codes! {
    BadRequest "BAD_REQUEST" Request 400 400 "The HTTP request is not a GraphQL request; the message says what is missing.";
    GraphqlParseFailed "GRAPHQL_PARSE_FAILED" Document 400 200 "The document is not GraphQL; the location says where.";
    GraphqlValidationFailed "GRAPHQL_VALIDATION_FAILED" Document 400 200 "The document or its variables do not fit the schema.";
    OperationNotFound "OPERATION_NOT_FOUND" Document 400 200 "The document has no operation with that name, or several and none was named.";
    PersistedQueryNotFound "PERSISTED_QUERY_NOT_FOUND" Document 400 200 "No document is known under this hash; send it in full.";
    PersistedQueryRequired "PERSISTED_QUERY_REQUIRED" Document 400 200 "This key may only run registered documents.";
    CsrfRejected "CSRF_REJECTED" Request 403 403 "A browser could have been tricked into this request; send a JSON content type or Apollo-Require-Preflight.";
    PayloadTooLarge "PAYLOAD_TOO_LARGE" Request 413 413 "The body is larger than allowed.";
    BadUserInput "BAD_USER_INPUT" Execution 400 200 "An argument has a value that cannot be accepted.";
    InvalidId "INVALID_ID" Execution 400 200 "An argument is not an id of the expected kind; ids look like tsk_01h455vb4pex5vsknk084sn02q.";
    InvalidCursor "INVALID_CURSOR" Execution 400 200 "The cursor was not issued here for this list with this filter and order; start again without it.";
    QueryTooDeep "QUERY_TOO_DEEP" Document 400 200 "The document nests fields more deeply than allowed.";
    QueryTooComplex "QUERY_TOO_COMPLEX" Document 400 200 "The operation costs more points than one operation may; ask for less or in pages.";
    QueryTooWide "QUERY_TOO_WIDE" Document 400 200 "The document has more aliases, root fields, directives or tokens than allowed.";
    BatchNotAllowed "BATCH_NOT_ALLOWED" Request 400 400 "One operation per request; arrays of operations are not accepted.";
    RateLimited "RATE_LIMITED" Request 429 429 "The bucket is empty; try again after the stated time.";
    ConcurrencyLimited "CONCURRENCY_LIMITED" Request 429 429 "Too many requests of this tenant run at once; try again after the stated time.";
    Timeout "TIMEOUT" Execution 504 200 "The operation took longer than allowed and was stopped.";
    Unauthenticated "UNAUTHENTICATED" Request 401 401 "The credential is missing or not valid; the reason says which.";
    EmailNotVerified "EMAIL_NOT_VERIFIED" Document 403 200 "Verify the e-mail address first.";
    MfaRequired "MFA_REQUIRED" Document 403 200 "A second factor is required.";
    ReauthenticationRequired "REAUTHENTICATION_REQUIRED" Execution 403 200 "Sign in again to do this.";
    TenantRequired "TENANT_REQUIRED" Document 400 200 "The document asks for data of a tenant, and the request names none.";
    TenantNotFound "TENANT_NOT_FOUND" Request 404 404 "There is no such tenant, or you do not belong to it.";
    TenantMismatch "TENANT_MISMATCH" Request 400 400 "Host, path, header and key name different tenants.";
    TenantSuspended "TENANT_SUSPENDED" Request 403 403 "The tenant is suspended.";
    TenantDeleted "TENANT_DELETED" Request 410 410 "The tenant was deleted.";
    TenantReadOnly "TENANT_READ_ONLY" Execution 403 200 "The tenant can be read and not changed at present.";
    Forbidden "FORBIDDEN" Document 403 200 "You may see that this exists and lack the right to do it; requiredPermission names the right.";
    ImpersonationForbidden "IMPERSONATION_FORBIDDEN" Execution 403 200 "This cannot be done while acting as somebody else.";
    AddressNotAllowed "ADDRESS_NOT_ALLOWED" Request 403 403 "The tenant or the key does not accept requests from this network address.";
    PlanRequired "PLAN_REQUIRED" Execution 403 200 "The tenant's plan does not include this.";
    IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED" Request 409 409 "The same Idempotency-Key was used for another request.";
    IdempotencyInProgress "IDEMPOTENCY_IN_PROGRESS" Request 409 409 "The first request with this Idempotency-Key still runs; try again after the stated time.";
    Internal "INTERNAL" Execution 500 500 "Something failed on our side; the request id finds it in the logs.";
    Unavailable "UNAVAILABLE" Request 503 503 "The server cannot answer at present; try again after the stated time.";
}

macro_rules! user_error_codes {
    ($($variant:ident $code:literal $description:literal;)*) => {
        /// Why a mutation changed nothing. Clients must accept codes they do not know.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, async_graphql::Enum)]
        pub enum UserErrorCode {
            $(#[doc = $description] #[graphql(name = $code)] $variant,)*
        }

        impl UserErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [UserErrorCode] = &[$(UserErrorCode::$variant),*];

            /// The text in the response.
            pub const fn as_str(self) -> &'static str { match self { $(UserErrorCode::$variant => $code,)* } }

            /// What it means, one sentence.
            pub const fn description(self) -> &'static str { match self { $(UserErrorCode::$variant => $description,)* } }

            /// The code with this text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($code => Some(UserErrorCode::$variant),)* _ => None }
            }
        }
    };
}

user_error_codes! {
    Required "REQUIRED" "A value is missing.";
    Invalid "INVALID" "The value has the wrong form.";
    TooShort "TOO_SHORT" "The text or list is too short; params.min says how long it must be.";
    TooLong "TOO_LONG" "The text or list is too long; params.max says how long it may be.";
    OutOfRange "OUT_OF_RANGE" "The number or date is outside params.min and params.max.";
    Taken "TAKEN" "Somebody already uses this value.";
    Reserved "RESERVED" "This value is kept for the system.";
    NotFound "NOT_FOUND" "There is nothing with this id that you may see.";
    StaleVersion "STALE_VERSION" "Somebody changed it in the meantime; read it again. params.current is its version now.";
    InvalidState "INVALID_STATE" "It is in a state in which this cannot be done.";
    ConfirmationMismatch "CONFIRMATION_MISMATCH" "The confirmation does not match the name or slug.";
    SeatLimitReached "SEAT_LIMIT_REACHED" "All seats of the plan are taken.";
    QuotaExceeded "QUOTA_EXCEEDED" "The plan's limit is reached.";
    PlanRequired "PLAN_REQUIRED" "The plan does not include this.";
    PaymentRequired "PAYMENT_REQUIRED" "A payment is due first.";
    LastOwner "LAST_OWNER" "A tenant always keeps at least one owner.";
    SelfActionForbidden "SELF_ACTION_FORBIDDEN" "You cannot do this to yourself.";
    PermissionEscalation "PERMISSION_ESCALATION" "You cannot give rights that you do not have; params.missing lists them.";
    RoleInUse "ROLE_IN_USE" "The role is still granted; name a replacement.";
    SystemRoleImmutable "SYSTEM_ROLE_IMMUTABLE" "Built-in roles cannot be changed; copy it instead.";
    AlreadyMember "ALREADY_MEMBER" "The person already is a member.";
    InvitationExpired "INVITATION_EXPIRED" "The invitation has expired; ask for a new one.";
    InvitationRevoked "INVITATION_REVOKED" "The invitation was taken back.";
    InvitationEmailMismatch "INVITATION_EMAIL_MISMATCH" "The invitation is for another e-mail address.";
    EmailDomainNotAllowed "EMAIL_DOMAIN_NOT_ALLOWED" "The tenant does not accept addresses of this domain.";
    InvalidCredentials "INVALID_CREDENTIALS" "E-mail address or password is wrong.";
    AccountLocked "ACCOUNT_LOCKED" "Too many failed attempts; try again after params.retryAfterSeconds.";
    WeakPassword "WEAK_PASSWORD" "The password is too easy to guess.";
    TokenInvalid "TOKEN_INVALID" "The token is not valid.";
    TokenExpired "TOKEN_EXPIRED" "The token has expired.";
    IdentityAlreadyLinked "IDENTITY_ALREADY_LINKED" "This identity belongs to another account.";
    LastSignInMethod "LAST_SIGN_IN_METHOD" "It is the only way left to sign in.";
    DomainUnverified "DOMAIN_UNVERIFIED" "Verify the domain first.";
    DomainPublicProvider "DOMAIN_PUBLIC_PROVIDER" "Domains of public mail providers cannot be claimed.";
    UrlNotAllowed "URL_NOT_ALLOWED" "The URL must be https and reachable on the public internet.";
    UnsafeCss "UNSAFE_CSS" "The style sheet contains something that is not allowed.";
    UnsupportedFileType "UNSUPPORTED_FILE_TYPE" "Files of this type are not accepted.";
    FileTooLarge "FILE_TOO_LARGE" "The file is larger than params.maxBytes.";
    EndpointDisabled "ENDPOINT_DISABLED" "The endpoint is disabled.";
    NothingToReplay "NOTHING_TO_REPLAY" "Nothing matches.";
    ConsentRequired "CONSENT_REQUIRED" "The person's consent is required first.";
    LegalHold "LEGAL_HOLD" "A legal hold forbids this.";
    CoolingOff "COOLING_OFF" "This can be done again only after params.retryAfterSeconds.";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for UserErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        let mut seen = HashSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} is there twice");
            assert_eq!(ErrorCode::parse(code.as_str()), Some(*code));
            assert!(code.description().ends_with('.'), "{code}");
            assert!((400..600).contains(&code.status()), "{code}");
        }
        let mut seen = HashSet::new();
        for code in UserErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} is there twice");
            assert_eq!(UserErrorCode::parse(code.as_str()), Some(*code));
            assert!(code.description().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn what_is_decided_before_graphql_has_one_status() {
        for code in ErrorCode::ALL {
            match code.phase() {
                Phase::Request => assert_eq!(code.status(), code.json_status(), "{code}"),
                Phase::Document => assert_eq!(code.json_status(), 200, "{code}"),
                Phase::Execution => {}
            }
        }
    }
}
