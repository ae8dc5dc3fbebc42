//! Every rule, one file each, by name.

mod add_header_content_type;
mod add_header_multiline;
mod add_header_redefinition;
mod alias_slash;
mod alias_traversal;
mod allow_comment;
mod allow_without_deny;
mod autoindex_everywhere;
mod captures_overwritten;
mod conflicting_server_name;
mod django_without_host;
mod dotfiles_exposed;
mod duplicate_header;
mod error_log_off;
mod external_resolver;
mod filesystem_root_exposed;
mod forwarded_for_missing;
mod gzip_not_enabled;
mod host_spoofing;
mod hsts_header;
mod http_splitting;
mod if_is_evil;
mod inheritance_lost;
mod line_continuation;
mod literal_variable;
mod location_regex;
mod low_keepalive_requests;
mod map_without_default;
mod misdirected_request;
mod missing_error_log;
mod missing_group;
mod missing_resolver;
mod missing_semicolon_swallowed;
mod missing_worker_processes;
mod mixed_case_variable;
mod nginx_cves;
mod no_default_server;
mod php_exec_uploads;
mod proxy_buffering_off;
mod proxy_keepalive;
mod proxy_missing_host;
mod proxy_pass_normalized;
mod proxy_pass_trailing_slash;
mod proxy_set_header_redefinition;
mod quic_bpf_reuseport;
mod regex_exact_match;
mod regex_redos;
mod regex_shadows_prefix;
mod return_bypasses_access;
mod root_in_location;
mod root_should_be_alias;
mod ssl_ecdh_curve;
mod ssl_stapling_letsencrypt;
mod ssl_stapling_resolver;
mod ssrf;
mod stale_dns;
mod status_page_exposed;
mod try_files_alias;
mod try_files_many;
mod try_files_with_proxy;
mod typographic_quotes;
mod unanchored_origin;
mod unanchored_regex;
mod unescaped_dot;
mod unnamed_groups;
mod unreachable_location;
mod upload_limit;
mod upstream_no_resolve;
mod valid_referers_none;
mod version_disclosure;
mod weak_ciphers;
mod weak_tls;
mod websocket_headers;
mod worker_rlimit_nofile;

use super::Rule;

pub(super) use allow_comment::{
    UNKNOWN as ALLOW_UNKNOWN, UNUSED as ALLOW_UNUSED, WITHOUT_REASON as ALLOW_WITHOUT_REASON,
};

/// All of them, by code.
pub(super) const ALL: &[&Rule] = &[
    &add_header_content_type::RULE,
    &add_header_multiline::RULE,
    &add_header_redefinition::RULE,
    &alias_slash::RULE,
    &alias_traversal::RULE,
    &allow_comment::UNKNOWN,
    &allow_comment::UNUSED,
    &allow_without_deny::RULE,
    &allow_comment::WITHOUT_REASON,
    &autoindex_everywhere::RULE,
    &captures_overwritten::RULE,
    &conflicting_server_name::RULE,
    &django_without_host::RULE,
    &dotfiles_exposed::RULE,
    &duplicate_header::RULE,
    &error_log_off::RULE,
    &external_resolver::RULE,
    &filesystem_root_exposed::RULE,
    &forwarded_for_missing::RULE,
    &gzip_not_enabled::RULE,
    &host_spoofing::RULE,
    &hsts_header::RULE,
    &http_splitting::RULE,
    &if_is_evil::RULE,
    &inheritance_lost::RULE,
    &line_continuation::RULE,
    &literal_variable::RULE,
    &low_keepalive_requests::RULE,
    &map_without_default::RULE,
    &misdirected_request::RULE,
    &missing_error_log::RULE,
    &missing_group::RULE,
    &missing_resolver::RULE,
    &missing_semicolon_swallowed::RULE,
    &missing_worker_processes::RULE,
    &mixed_case_variable::RULE,
    &nginx_cves::RULE,
    &no_default_server::RULE,
    &php_exec_uploads::RULE,
    &proxy_buffering_off::RULE,
    &proxy_keepalive::RULE,
    &proxy_missing_host::RULE,
    &proxy_pass_normalized::RULE,
    &proxy_pass_trailing_slash::RULE,
    &proxy_set_header_redefinition::RULE,
    &quic_bpf_reuseport::RULE,
    &regex_exact_match::RULE,
    &regex_redos::RULE,
    &regex_shadows_prefix::RULE,
    &return_bypasses_access::RULE,
    &root_in_location::RULE,
    &root_should_be_alias::RULE,
    &ssl_ecdh_curve::RULE,
    &ssl_stapling_letsencrypt::RULE,
    &ssl_stapling_resolver::RULE,
    &ssrf::RULE,
    &stale_dns::RULE,
    &status_page_exposed::RULE,
    &try_files_alias::RULE,
    &try_files_many::RULE,
    &try_files_with_proxy::RULE,
    &typographic_quotes::RULE,
    &unanchored_origin::RULE,
    &unanchored_regex::RULE,
    &unescaped_dot::RULE,
    &unnamed_groups::RULE,
    &unreachable_location::RULE,
    &upload_limit::RULE,
    &upstream_no_resolve::RULE,
    &valid_referers_none::RULE,
    &version_disclosure::RULE,
    &weak_ciphers::RULE,
    &weak_tls::RULE,
    &websocket_headers::RULE,
    &worker_rlimit_nofile::RULE,
];
