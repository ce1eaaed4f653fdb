-- A private Prosody for Hydrant: for `npm run up`, for the tests, and as an example to read.
-- It listens on loopback only, keeps everything below HYDRANT_PROSODY_HOME and talks to no other server.
-- To attach Hydrant to a Prosody of your own, see README.md beside this file.
--
-- Environment:
--   HYDRANT_PROSODY_HOME    where the data go (required)
--   HYDRANT_C2S_PORT        for Jabber clients, 5222 by default
--   HYDRANT_COMPONENT_PORT  for Hydrant, 5347 by default
--   XMPP_DOMAIN             Hydrant's address, feeds.localhost by default
--   XMPP_SECRET             the component secret (required)
--   HYDRANT_TESTER_SECRET   adds a second component, tester.localhost, the voice of the tests

local home = ENV_HYDRANT_PROSODY_HOME

data_path = home
pidfile = home .. "/prosody.pid"
certificates = home
log = { info = "*console" }

-- Prosody refuses to run as root unless told so. In containers and CI there is often nobody else; as an
-- ordinary user this line changes nothing.
run_as_root = true

interfaces = { "127.0.0.1" }
c2s_ports = { tonumber(ENV_HYDRANT_C2S_PORT or "5222") }
component_interfaces = { "127.0.0.1" }
component_ports = { tonumber(ENV_HYDRANT_COMPONENT_PORT or "5347") }
c2s_direct_tls_ports = {}

-- A Hydrant whose connection was cut silently holds its name for many minutes unless a newcomer may replace it.
component_conflict_resolve = "kick_old"

-- As it comes, Prosody reads four kilobytes of a component at a time with a pause after each, and lets short answers wait
-- for company; `npm run bench -- pubsub` shows what these two lines are worth.
network_default_read_size = 65536
network_settings = { nagle = false }

-- There is no certificate for localhost that a client would believe. Passwords still do not cross the socket:
-- SCRAM is offered, PLAIN is not.
c2s_require_encryption = false
allow_unencrypted_plain_auth = false
authentication = "internal_hashed"
storage = "internal"

-- What Gajim, Dino, Converse or Movim look for when they log in.
modules_enabled = {
  "roster",
  "saslauth",
  "disco",
  "ping",
  "version",
  "time",
  "private",
  "vcard4",
  "vcard_legacy",
  "pep",
  "blocklist",
  "bookmarks",
  "carbons",
  "mam",
}

-- One machine, one server: nothing goes out to the network.
modules_disabled = { "s2s", "s2s_auth_certs" }

VirtualHost "localhost"

Component(ENV_XMPP_DOMAIN or "feeds.localhost")
component_secret = ENV_XMPP_SECRET

if ENV_HYDRANT_TESTER_SECRET then
  Component "tester.localhost"
  component_secret = ENV_HYDRANT_TESTER_SECRET
end
