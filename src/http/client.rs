//! Who is at the other end of the connection: the peer, or the client that a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnetwork::IpNetwork;

/// The address of the connection's other end, put into every request by the server.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The networks whose `X-Forwarded-For` is believed; empty means nobody's is.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNetwork>);

impl TrustedProxies {
    /// Trusts proxies in these networks.
    pub fn new(networks: Vec<IpNetwork>) -> Self {
        Self(networks)
    }

    /// The client's address.
    ///
    /// Each proxy appends the address that it was called from, so the list is read from its end: the first address
    /// that is not a trusted proxy is the client. What stands before it is the client's own invention. An entry that
    /// is no address ends the walk at the last proxy that could be believed.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?")).collect();
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = parse(entry.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// An address, with or without a port, as proxies write it.
fn parse(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let proxies = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let ours = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(client(&[], "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(client(&ours, "9.9.9.9", &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(client(&ours, "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&ours, "::ffff:10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&ours, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_itself_claims_is_ignored() {
        let ours = ["10.0.0.0/8"];
        assert_eq!(client(&ours, "10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]), "1.2.3.4");
        assert_eq!(client(&ours, "10.0.0.1", &["6.6.6.6", "1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&ours, "10.0.0.1", &["6.6.6.6, unknown, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn a_port_and_brackets_are_understood() {
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4:5678"]), "1.2.3.4");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
    }
}
