"""The requests of the comparison, in order. Each section begins and ends without objects.

`ask(method, path, body)` sends one request to both services; {name} in path or body stands for the id
that `ask(..., save="name")` got from a creation, at each service its own. Nothing else is kept between
requests, so a section reads as a script.
"""

from network import NETWORK, SUBNET, SUBNET6

NONE = "11111111-2222-4333-8444-555555555555"
KEPT = {NONE, NETWORK, SUBNET, SUBNET6}  # ids that mean the same at both services
LBS, LISTENERS, POOLS, MONITORS = (f"/v2.0/lbaas/{name}" for name in
                                   ("loadbalancers", "listeners", "pools", "healthmonitors"))
MEMBERS = POOLS + "/{pool}/members"
LONG = "x" * 256

# Values that are wrong or odd for some type of attribute.
TEXTS = [None, "", "ü", "x" * 255, LONG, 5, True, [], {}]
BOOLEANS = [None, "true", "False", "yes", "no", "on", "T", "maybe", 0, 1, 2, "", [], 1.5]
INTEGERS = [None, "5", " 5 ", "5.0", "x", "", 5.7, -5, 10**12, True, [], {}]
TAGS = [None, [], ["a", "b"], ["a", "a"], "a", [1], [None], [LONG], {}]
# Numbers are left out: the real service takes 5 for 0.0.0.5, stores it, and fails to list anything afterwards.
ADDRESSES = [None, "", "x", "10.0.0.300", "10.0.0.1/24", "01.0.0.4"]
IDS = [None, "", "x", NONE[:-1], NONE.replace("-", ""), 5, []]


class Section:
    """One script; its runner supplies `ask`."""

    def __init__(self, ask):
        self.ask = ask

    def get(self, path):
        self.ask("GET", path)

    def balancer(self, save="lb", address="10.0.0.16", **more):
        self.ask("POST", LBS, {"loadbalancer": {"name": save, "vip_subnet_id": SUBNET, "vip_address": address,
                                                **more}}, save=save)

    def listener(self, save="listener", port=80, protocol="TCP", balancer="{lb}", **more):
        self.ask("POST", LISTENERS, {"listener": {"name": save, "protocol": protocol, "protocol_port": port,
                                                  "loadbalancer_id": balancer, **more}}, save=save)

    def pool(self, save="pool", listener="{listener}", protocol="TCP", **more):
        parent = {"listener_id": listener} if listener else {"loadbalancer_id": "{lb}"}
        self.ask("POST", POOLS, {"pool": {"name": save, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN",
                                          **parent, **more}}, save=save)

    def member(self, save="member", address="10.0.0.4", port=80, pool="{pool}", **more):
        self.ask("POST", f"{POOLS}/{pool}/members",
                 {"member": {"name": save, "address": address, "protocol_port": port, **more}}, save=save)

    def monitor(self, save="monitor", pool="{pool}", type="HTTP", **more):
        self.ask("POST", MONITORS, {"healthmonitor": {"name": save, "type": type, "delay": 5, "timeout": 3,
                                                      "max_retries": 2, "pool_id": pool, **more}}, save=save)

    def walkthrough(self):
        self.balancer()
        self.listener()
        self.pool()
        self.member()
        self.monitor()

    def remove(self, balancer="lb"):
        self.ask("DELETE", f"{LBS}/{{{balancer}}}?cascade=True")

    def put_each(self, path, wrapper, attribute, values):
        for value in values:
            self.ask("PUT", path, {wrapper: {attribute: value}})

    def post_each(self, path, wrapper, base, attribute, values):
        """Creates objects with one attribute changed; the runner removes those that succeed."""
        for value in values:
            self.ask("POST", path, {wrapper: {**base, attribute: value}}, undo=True)
        without = {key: value for key, value in base.items() if key != attribute}
        if without != base:
            self.ask("POST", path, {wrapper: without}, undo=True)


def service(section):
    for path in ("/", "/healthcheck", "/v2", "/v2.0", "/v2/lbaas", "/v2.0/lbaas", "/v3", "/v2.0/lbaas/nonsense",
                 "/v2.0/lbaas/providers", "/v2.0/lbaas/providers?fields=name",
                 "/v2.0/lbaas/providers/x/flavor_capabilities",
                 "/v2.0/lbaas/quotas", "/v2.0/lbaas/quotas/defaults", "/v2.0/lbaas/quotas/some-project",
                 "/v2.0/lbaas/quotas/some-project/default", "/v2.0/lbaas/flavors", "/v2.0/lbaas/flavorprofiles",
                 "/v2.0/lbaas/availabilityzones", "/v2.0/lbaas/availabilityzoneprofiles",
                 "/v2.0/lbaas/l7policies", "/v2.0/octavia/amphorae", f"/v2.0/lbaas/l7policies/{NONE}",
                 f"/v2.0/lbaas/l7policies/{NONE}/rules", f"/v2.0/lbaas/l7policies/{NONE}/rules/{NONE}",
                 f"/v2.0/octavia/amphorae/{NONE}", f"/v2.0/lbaas/flavors/{NONE}"):
        section.get(path)
    for method, body in (("POST", {"rule": {}}), ("PUT", {"rule": {}}), ("DELETE", None)):
        section.ask(method, f"/v2.0/lbaas/l7policies/{NONE}/rules" + ("" if method == "POST" else f"/{NONE}"), body)
    for collection in (LBS, LISTENERS, POOLS, MONITORS):
        section.get(collection)
        section.get(collection + "/")
        section.get(collection.replace("v2.0", "v2"))
        for method in ("PATCH", "PUT", "DELETE"):
            section.ask(method, collection, {})
        for text in ("", "{", "[]", "5", "null", "{}", '{"x": {}}'):
            section.ask("POST", collection, text)
        section.ask("POST", f"{collection}/{NONE}", {})
        section.ask("PATCH", f"{collection}/{NONE}", {})
        section.get(f"{collection}/{NONE}")
        section.get(f"{collection}/web")
        section.ask("DELETE", f"{collection}/{NONE}")
    for name, collection in (("loadbalancer", LBS), ("listener", LISTENERS), ("pool", POOLS),
                             ("healthmonitor", MONITORS)):
        section.ask("PUT", f"{collection}/{NONE}", {name: {}})
        section.ask("POST", collection, {name: None})
        section.ask("POST", collection, {name: {}})
        section.ask("POST", collection, {name: {"colour": "red"}})
        section.ask("POST", collection, {name: {}, "colour": "red"})
    for path in ("/status", "/statuses", "/stats", "/failover", "/nonsense"):
        section.get(f"{LBS}/{NONE}{path}")
    section.ask("PUT", f"{LBS}/{NONE}/failover")
    section.get(f"{LISTENERS}/{NONE}/stats")
    section.get(f"{POOLS}/{NONE}/members")
    section.get(f"{POOLS}/{NONE}/members/{NONE}")
    section.ask("PUT", f"{POOLS}/{NONE}/members", {"members": []})


def walkthrough(section):
    """The walkthrough; after each step everything that it touches is shown."""
    def look():
        for collection in (LBS, LISTENERS, POOLS, MONITORS):
            section.get(collection)
        section.get(f"{LBS}/{{lb}}/status")

    section.balancer()
    look()
    section.listener()
    section.get(f"{LISTENERS}/{{listener}}")
    section.pool()
    look()
    section.member()
    section.member("member2", "10.0.0.6")
    section.get(MEMBERS)
    section.get(MEMBERS + "/{member}")
    section.monitor(url_path="/health")
    look()
    section.get(f"{MONITORS}/{{monitor}}")
    section.get(f"{LBS}/{{lb}}/stats")
    section.get(f"{LBS}/{{lb}}/statuses")
    section.get(f"{LISTENERS}/{{listener}}/stats")
    section.ask("PUT", f"{LBS}/{{lb}}/failover")
    section.ask("DELETE", f"{LBS}/{{lb}}")
    section.ask("DELETE", f"{MONITORS}/{{monitor}}")
    section.ask("DELETE", MEMBERS + "/{member2}")
    look()
    section.get(MEMBERS + "/{member2}")
    section.ask("DELETE", f"{LISTENERS}/{{listener}}")
    look()
    section.ask("DELETE", f"{POOLS}/{{pool}}")
    look()
    section.ask("DELETE", f"{LBS}/{{lb}}")
    section.get(f"{LBS}/{{lb}}")
    look_nothing = (LBS, LISTENERS, POOLS, MONITORS)
    for collection in look_nothing:
        section.get(collection)


def load_balancers(section):
    base = {"name": "web", "vip_subnet_id": SUBNET, "vip_address": "10.0.0.99"}

    def each(attribute, values):
        section.post_each(LBS, "loadbalancer", base, attribute, values)

    each("name", TEXTS)
    each("description", TEXTS)
    each("admin_state_up", BOOLEANS)
    each("tags", TAGS)
    each("vip_address", ADDRESSES)
    each("vip_subnet_id", IDS + [NONE])
    each("vip_network_id", IDS + [NETWORK])
    each("vip_port_id", IDS + [NONE])
    each("project_id", ["x" * 36, "x" * 37, 5])
    each("tenant_id", ["another", "x" * 37])
    each("provider", ["octavia", "amphora", "vendor", "", None, 5])
    each("flavor_id", [None, NONE, "x"])
    each("availability_zone", [None, "nova"])
    second = {"subnet_id": SUBNET6, "ip_address": "2001:db8::98"}
    each("additional_vips", [
        [], None, "x", ["x"], [{}], [second], [{**second, "ip_address": "192.0.2.1"}], [{**second, "ip_address": "x"}],
        [{**second, "subnet_id": SUBNET}], [second, second], [{**second, "subnet_id": NONE}],
        [{**second, "subnet_id": "x"}], [{**second, "port_id": NONE}], [{"ip_address": "2001:db8::98"}]])
    each("vip_qos_policy_id", [None])
    for attribute in ("id", "created_at", "operating_status", "provisioning_status", "colour", "Name"):
        each(attribute, ["x"])
    for vip in ({"vip_network_id": NETWORK, "vip_address": "10.0.0.98"},
                {"vip_network_id": NETWORK, "vip_subnet_id": SUBNET, "vip_address": "10.0.0.98"},
                {"vip_network_id": NETWORK, "vip_address": "192.0.2.1"},
                {"vip_network_id": NETWORK, "vip_subnet_id": NONE},
                {"vip_subnet_id": SUBNET6, "vip_address": "2001:db8::99"},
                {"vip_subnet_id": SUBNET6, "vip_address": "2001:0DB8:0::99"},
                {"vip_address": "10.0.0.98"}, {}):
        section.ask("POST", LBS, {"loadbalancer": vip}, undo=True)

    section.balancer()
    lb = f"{LBS}/{{lb}}"
    for attribute, values in (("name", TEXTS), ("description", TEXTS), ("admin_state_up", BOOLEANS),
                              ("tags", TAGS)):
        section.put_each(lb, "loadbalancer", attribute, values)
    for attribute in ("vip_address", "vip_subnet_id", "vip_network_id", "vip_port_id", "additional_vips", "provider",
                      "project_id", "flavor_id", "id", "listeners", "pools", "colour"):
        section.put_each(lb, "loadbalancer", attribute, ["x"])
    section.ask("PUT", lb, {"loadbalancer": {}})
    section.ask("PUT", lb, {"loadbalancer": {"colour": 1, "size": 2}})
    section.ask("PUT", lb, {"loadbalancer": {"name": "a", "description": "b", "admin_state_up": False}})
    section.get(lb)
    section.get(lb + "?fields=name&fields=vip_address")
    section.get(lb + "?fields=nonsense")
    section.ask("DELETE", lb + "?cascade=maybe")
    section.get(lb)


def populated(section):
    """Everything in one request, and faults in it."""
    def full(**children):
        section.ask("POST", LBS, {"loadbalancer": {"name": "full", "vip_subnet_id": SUBNET,
                                                   "vip_address": "10.0.0.16", **children}}, undo=True)

    def front(pool=None, **more):
        return {"name": "l", "protocol": "TCP", "protocol_port": 80, **({"default_pool": pool} if pool else {}),
                **more}

    def back(name="p", **more):
        return {"name": name, "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", **more}

    member = {"address": "10.0.0.4", "protocol_port": 80}
    monitor = {"type": "TCP", "delay": 5, "timeout": 3, "max_retries": 2}
    full(listeners=[], pools=[])
    full(listeners=None, pools=None)
    full(listeners=[front()])
    full(pools=[back()])
    full(listeners=[front(back())])
    full(listeners=[front(back(members=[member, {**member, "address": "10.0.0.6"}]))])
    full(listeners=[front(back(members=[member], healthmonitor=monitor))])
    full(listeners=[front({"name": "p"})], pools=[back()])
    full(listeners=[front({"name": "p"}), front({"name": "p"}, protocol_port=81)], pools=[back()])
    full(listeners=[front({"name": "x"})], pools=[back()])
    full(listeners=[front({"name": "p"})])
    full(listeners=[front({"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"})])
    full(listeners=[front(back()), front(back(), protocol_port=81)])
    full(listeners=[front(back()), front(back("q"))])
    full(listeners=[front(back(), colour="red")])
    full(listeners=[front(back(colour="red"))])
    full(listeners=[front(back(members=[{**member, "colour": "red"}]))])
    full(listeners=[front(back(members=[{**member, "weight": 257}]))])
    full(listeners=[front(back(members=[{"address": "10.0.0.4"}]))])
    full(listeners=[front(back(members=[member, member]))])
    full(listeners=[front(back(members=[{**member, "address": "169.254.169.254"}]))])
    full(listeners=[front(back(healthmonitor={**monitor, "type": "X"}))])
    full(listeners=[front(back(healthmonitor={"type": "TCP"}))])
    full(listeners=[front(back(healthmonitor={**monitor, "url_path": "/"}))])
    full(listeners=[front(back(healthmonitor={**monitor, "type": "SCTP"}))])
    full(listeners=[front({"name": "p", "protocol": "TCP"})])
    full(listeners=[front({"name": "p", "lb_algorithm": "ROUND_ROBIN"})])
    full(pools=[{"name": "p"}])
    full(pools=[back(), back()])
    full(pools=[back(protocol="UDP", session_persistence={"type": "SOURCE_IP", "persistence_timeout": 5})])
    full(listeners=[front(back(protocol="UDP"))])
    full(listeners=[front(back(protocol="UDP"), protocol="UDP")])
    full(listeners=[front(back(protocol="HTTP"), protocol="HTTP")])
    full(listeners=[front(loadbalancer_id=NONE)])
    full(listeners=[front(allowed_cidrs=["2001:db8::/32"])])
    full(listeners="x")
    full(listeners=[front(tags=["a"])], pools=[back(tags=["b"])], tags=["c"])


def listeners(section):
    section.balancer()
    base = {"name": "web", "protocol": "TCP", "protocol_port": 80, "loadbalancer_id": "{lb}"}

    def each(attribute, values):
        section.post_each(LISTENERS, "listener", base, attribute, values)

    timeouts = ("timeout_client_data", "timeout_member_connect", "timeout_member_data", "timeout_tcp_inspect")
    cidrs = [None, [], ["10.0.0.0/8"], ["10.1.2.3/8", "192.0.2.1"], ["x"], ["10.0.0.0/33"], "10.0.0.0/8", [5],
             ["2001:db8::/32"], ["0.0.0.0/0"]]
    each("name", TEXTS)
    each("description", TEXTS)
    each("admin_state_up", BOOLEANS)
    each("tags", TAGS)
    each("protocol", ["UDP", "SCTP", "HTTP", "HTTPS", "tcp", "ICMP", "", None, 5])
    each("protocol_port", INTEGERS + [0, 1, 65535, 65536, "80"])
    each("connection_limit", INTEGERS + [-1, -2, 0, 2147483647])
    each("loadbalancer_id", IDS + [NONE])
    each("default_pool_id", IDS + [NONE])
    each("allowed_cidrs", cidrs)
    for attribute in timeouts:
        each(attribute, [None, 0, "1000", 2073600000, 2073600001, -1, "x"])
    each("insert_headers", [None, {}, {"X-Forwarded-For": "true"}, {"X-Nonsense": "true"}])
    each("default_tls_container_ref", [None, "", "x"])
    each("sni_container_refs", [None, [], ["x"]])
    each("client_authentication", [None, "NONE", "OPTIONAL", "x"])
    each("project_id", ["x", "x" * 37])
    each("l7policies", [None, []])
    for attribute in ("id", "loadbalancers", "operating_status", "colour"):
        each(attribute, ["x"])

    section.listener()
    for protocol in ("TCP", "HTTP", "HTTPS", "UDP", "SCTP"):
        section.ask("POST", LISTENERS, {"listener": {**base, "protocol": protocol}}, undo=True)
    section.pool()
    section.pool("other", None)
    section.pool("udp", None, "UDP")
    for front in ("TCP", "HTTP", "HTTPS", "UDP", "SCTP"):
        for back in ("{other}", "{udp}"):
            section.ask("POST", LISTENERS, {"listener": {**base, "protocol_port": 81, "protocol": front,
                                                         "default_pool_id": back}}, undo=True)
    listener = f"{LISTENERS}/{{listener}}"
    section.get(listener)
    for attribute, values in [("name", TEXTS), ("description", TEXTS), ("admin_state_up", BOOLEANS), ("tags", TAGS),
                              ("connection_limit", [None, "100", -1, -2, "x"]),
                              ("default_pool_id", [None, "{other}", "{udp}", "{pool}", NONE, "x", ""]),
                              ("allowed_cidrs", cidrs), ("insert_headers", [{}, {"X-Forwarded-For": "true"}]),
                              *((name, [None, 1, "x", -1]) for name in timeouts)]:
        section.put_each(listener, "listener", attribute, values)
    for attribute in ("protocol", "protocol_port", "loadbalancer_id", "project_id", "id", "colour"):
        section.put_each(listener, "listener", attribute, ["TCP"])
    section.ask("PUT", listener, {"listener": {}})
    section.ask("PUT", listener, {"listener": {"connection_limit": 5, "colour": "red"}})
    section.get(listener)
    section.balancer("lb2", "10.0.0.17")
    section.ask("POST", LISTENERS, {"listener": {**base, "loadbalancer_id": "{lb2}",
                                                 "default_pool_id": "{other}"}}, undo=True)
    section.remove("lb2")
    section.remove()


def pools(section):
    section.balancer()
    section.listener()
    base = {"name": "web", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "loadbalancer_id": "{lb}"}

    def each(attribute, values, **changes):
        section.post_each(POOLS, "pool", {**base, **changes}, attribute, values)

    persistence = [None, {}, {"type": "SOURCE_IP"}, {"type": "X"}, {"type": "SOURCE_IP", "cookie_name": "c"},
                   {"type": "SOURCE_IP", "persistence_timeout": 60},
                   {"type": "SOURCE_IP", "persistence_timeout": "60", "persistence_granularity": "255.255.255.0"},
                   {"type": "SOURCE_IP", "persistence_granularity": "x"},
                   {"type": "SOURCE_IP", "persistence_timeout": "x"},
                   {"type": "SOURCE_IP", "colour": "red"}, {"persistence_timeout": 60}, {"cookie_name": "c"},
                   {"type": "APP_COOKIE"}, {"type": "HTTP_COOKIE", "cookie_name": "c"}]
    algorithms = ["LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT", "round_robin", "", None, 5]
    each("name", TEXTS)
    each("description", TEXTS)
    each("admin_state_up", BOOLEANS)
    each("tags", TAGS)
    each("protocol", ["UDP", "SCTP", "HTTP", "HTTPS", "tcp", "", None])
    each("lb_algorithm", algorithms)
    each("session_persistence", persistence)
    each("session_persistence", persistence, protocol="UDP")
    each("loadbalancer_id", IDS + [NONE])
    each("project_id", ["x" * 37])
    each("tls_enabled", [None, False])
    for attribute in ("id", "listeners", "healthmonitor_id", "colour"):
        each(attribute, ["x"])
    for parent in ({}, {"listener_id": "x"}, {"listener_id": "{listener}"},
                   {"listener_id": "{listener}", "loadbalancer_id": "{lb}"}):
        section.ask("POST", POOLS, {"pool": {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", **parent}},
                    undo=True)
    for protocol in ("HTTP", "HTTPS", "UDP", "SCTP"):
        section.ask("POST", POOLS, {"pool": {"protocol": protocol, "lb_algorithm": "ROUND_ROBIN",
                                             "listener_id": "{listener}"}}, undo=True)

    section.pool()
    section.ask("POST", POOLS, {"pool": {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
                                         "listener_id": "{listener}"}}, undo=True)
    pool = f"{POOLS}/{{pool}}"
    section.get(pool)
    for attribute, values in [("name", TEXTS), ("description", TEXTS), ("admin_state_up", BOOLEANS), ("tags", TAGS),
                              ("lb_algorithm", algorithms + ["ROUND_ROBIN"]),
                              ("session_persistence", persistence + [None, {"persistence_timeout": 5}])]:
        section.put_each(pool, "pool", attribute, values)
    for attribute in ("protocol", "loadbalancer_id", "listener_id", "project_id", "members", "id", "colour"):
        section.put_each(pool, "pool", attribute, ["TCP"])
    section.ask("PUT", pool, {"pool": {}})
    section.get(pool)
    section.get(pool + "?fields=name")
    section.pool("udp", None, "UDP")
    for value in persistence:
        section.ask("PUT", f"{POOLS}/{{udp}}", {"pool": {"session_persistence": value}})
    section.get(f"{POOLS}/{{udp}}")
    section.remove()


def members(section):
    section.balancer()
    section.listener()
    section.pool()
    base = {"name": "web", "address": "10.0.0.4", "protocol_port": 80}

    def each(attribute, values):
        section.post_each(MEMBERS, "member", base, attribute, values)

    each("name", TEXTS)
    each("admin_state_up", BOOLEANS)
    each("backup", BOOLEANS)
    each("tags", TAGS)
    each("address", ADDRESSES + ["169.254.169.254", "2001:db8::4", "www.example.org", "2001:0DB8::4"])
    each("protocol_port", INTEGERS + [0, 65535, 65536])
    each("weight", INTEGERS + [0, 256, 257, "1"])
    each("monitor_port", INTEGERS + [0, 65535])
    each("monitor_address", ADDRESSES + ["10.0.0.5", "2001:0DB8::5"])
    each("subnet_id", IDS + [NONE, SUBNET])
    each("project_id", ["x" * 37])
    for attribute in ("id", "operating_status", "description", "pool_id", "colour"):
        each(attribute, ["x"])
    for text in ("", "{}", '{"member": []}', '{"member": {}}', '{"members": {}}'):
        section.ask("POST", MEMBERS, text)
    section.member("typed", "2001:0DB8:0::44", monitor_address="2001:DB8::45")
    section.get(MEMBERS + "/{typed}")
    section.get(MEMBERS + "?address=2001:0DB8:0::44")
    section.get(f"{LBS}/{{lb}}/status")
    section.ask("PUT", MEMBERS + "/{typed}", {"member": {"monitor_address": "2001:0db8::46"}})
    section.ask("PUT", MEMBERS + "/{typed}", {"member": {"name": "still typed"}})
    section.ask("DELETE", MEMBERS + "/{typed}")

    section.member()
    section.ask("POST", MEMBERS, {"member": base}, undo=True)
    section.ask("POST", MEMBERS, {"member": {**base, "protocol_port": 81}}, undo=True)
    section.pool("other", None)
    member = MEMBERS + "/{member}"
    section.get(f"{POOLS}/{{other}}/members/{{member}}")
    section.ask("PUT", f"{POOLS}/{{other}}/members/{{member}}", {"member": {"weight": 2}})
    section.ask("DELETE", f"{POOLS}/{{other}}/members/{{member}}")
    for attribute, values in [("name", TEXTS), ("admin_state_up", BOOLEANS), ("backup", BOOLEANS), ("tags", TAGS),
                              ("weight", INTEGERS + [0, 256, 257]), ("monitor_port", [None, 8080, "8080", 0]),
                              ("monitor_address", [None, "10.0.0.5", "x"])]:
        section.put_each(member, "member", attribute, values)
    for attribute in ("address", "protocol_port", "subnet_id", "project_id", "id", "colour"):
        section.put_each(member, "member", attribute, ["10.0.0.4"])
    section.ask("PUT", member, {"member": {}})
    section.get(member)
    section.get(member + "?fields=address")
    section.get(f"{MEMBERS}/{NONE}")
    section.remove()


def batches(section):
    section.walkthrough()
    section.member("member2", "10.0.0.6", weight=5, backup=True, tags=["a"])

    def batch(*entries, query="", **more):
        section.ask("PUT", MEMBERS + query, {"members": list(entries), **more})
        section.get(MEMBERS + "?sort=address,protocol_port&fields=address&fields=protocol_port&fields=weight"
                              "&fields=backup&fields=name&fields=tags&fields=monitor_port")

    def entry(address, **more):
        return {"address": address, "protocol_port": 80, **more}

    batch(entry("10.0.0.4"), entry("10.0.0.6"))
    batch(entry("10.0.0.4", weight=7, name="renamed", monitor_port=8080))
    batch(entry("10.0.0.4"))
    batch(entry("10.0.0.7"), query="?additive_only=True")
    batch(entry("10.0.0.8"), query="?additive_only=yes")
    batch(entry("10.0.0.8"), query="?additive_only=False")
    batch(entry("10.0.0.4"), entry("10.0.0.4", protocol_port=81))
    batch(entry("10.0.0.9"), entry("10.0.0.9"))
    batch(entry("10.0.0.4"), entry("10.0.0.5", weight=257))
    batch(entry("10.0.0.4"), entry("x"))
    batch(entry("10.0.0.4", colour="red"))
    batch({"address": "10.0.0.4"})
    batch(entry("169.254.169.254"))
    # Only one of the two services accepts this; the next request makes them equal again.
    section.ask("PUT", MEMBERS, {"members": [entry("10.0.0.4", subnet_id=NONE), entry("10.0.0.11", subnet_id=NONE)]})
    batch(entry("10.0.0.4"), entry("10.0.0.4", protocol_port=81))
    batch(colour="red")
    for text in ("", "{}", "[]", '{"members": {}}', '{"members": null}', '{"member": []}'):
        section.ask("PUT", MEMBERS, text)
    batch()
    batch()
    section.remove()


def monitors(section):
    section.balancer()
    section.listener()
    section.pool()
    section.pool("udp", None, "UDP")
    section.pool("sctp", None, "SCTP")
    base = {"name": "web", "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2, "pool_id": "{pool}"}
    types = ["HTTP", "HTTPS", "PING", "TCP", "TLS-HELLO", "UDP-CONNECT", "SCTP"]

    def each(attribute, values, **changes):
        section.post_each(MONITORS, "healthmonitor", {**base, **changes}, attribute, values)

    paths = [None, "/", "/health?x=1", "health", "", "http://x/", "//x/y", "/a b", "/ü", "/%41", "/#x", 5]
    codes = [None, "200", "200,202", "200, 202 ,204", "200-204", "200-204,301", "2xx", "", "99", 200]
    numbers = INTEGERS + [0, 1, 10, 11]
    each("name", TEXTS)
    each("admin_state_up", BOOLEANS)
    each("tags", TAGS)
    each("type", types + ["http", "", None])
    each("type", types, pool_id="{udp}")
    each("type", types, pool_id="{sctp}")
    each("delay", [0, 2, 3], type="UDP-CONNECT", pool_id="{udp}")
    for attribute in ("delay", "timeout", "max_retries", "max_retries_down"):
        each(attribute, numbers)
    each("timeout", [10])
    each("pool_id", IDS + [NONE])
    each("http_method", ["GET", "HEAD", "PATCH", "get", "", None, 5])
    each("url_path", paths)
    each("expected_codes", codes)
    each("http_version", [None, 1.0, 1.1, "1.1", 1, 2, "x", ""])
    each("domain_name", [None, "www.example.org", "", "a b"])
    each("domain_name", [None, "www.example.org", "", "-x", "x_y.z", "a" * 64, LONG], http_version=1.1)
    each("domain_name", ["www.example.org"], http_version=1.0)
    each("project_id", ["x" * 37])
    for type in ("TCP", "PING", "TLS-HELLO"):
        for attribute, value in (("url_path", "/"), ("http_method", "GET"), ("expected_codes", "200"),
                                 ("url_path", None), ("http_version", 1.1)):
            each(attribute, [value], type=type)
    for attribute in ("id", "pools", "description", "colour"):
        each(attribute, ["x"])

    section.monitor()
    section.ask("POST", MONITORS, {"healthmonitor": base}, undo=True)
    monitor = f"{MONITORS}/{{monitor}}"
    section.get(monitor)
    for attribute, values in [("name", TEXTS), ("admin_state_up", BOOLEANS), ("tags", TAGS), ("delay", numbers),
                              ("timeout", numbers), ("max_retries", numbers), ("max_retries_down", numbers),
                              ("http_method", ["HEAD", None, "x"]), ("url_path", paths),
                              ("expected_codes", codes), ("http_version", [1.0, 1.1, None, "x"]),
                              ("domain_name", [None, "www.example.org", ""])]:
        section.put_each(monitor, "healthmonitor", attribute, values)
    for attribute in ("type", "pool_id", "project_id", "id", "colour"):
        section.put_each(monitor, "healthmonitor", attribute, ["TCP"])
    section.ask("PUT", monitor, {"healthmonitor": {"http_version": 1.1, "domain_name": "www.example.org"}})
    section.ask("PUT", monitor, {"healthmonitor": {}})
    section.get(monitor)
    section.ask("DELETE", monitor)
    section.monitor("tcp", type="TCP")
    for attribute, value in (("url_path", "/"), ("http_method", None), ("delay", 7)):
        section.ask("PUT", f"{MONITORS}/{{tcp}}", {"healthmonitor": {attribute: value}})
    section.remove()


def lists(section):
    section.balancer("a", "10.0.0.16", tags=["red", "green"], description="first")
    section.balancer("b", "10.0.0.17", tags=["red"], admin_state_up=False)
    section.balancer("c", "10.0.0.18")
    section.balancer("b2", "10.0.0.19", tags=["blue"], description="ü")
    section.ask("PUT", f"{LBS}/{{b2}}", {"loadbalancer": {"name": "b"}})
    for query in ("name=a", "name=b", "name=", "name=x", "name=a&name=b", "id={a}", "id=x", "vip_address=10.0.0.17",
                  f"vip_subnet_id={SUBNET}", f"vip_network_id={NETWORK}", "admin_state_up=True", "admin_state_up=false",
                  "provisioning_status=ACTIVE", "provisioning_status=ERROR", "operating_status=OFFLINE",
                  "description=first", "description=%C3%BC", "project_id=x", "colour=red", "provider=x",
                  "name=b&admin_state_up=True", "tags=red", "tags=red,green", "tags=red&tags=green", "tags-any=red,blue",
                  "not-tags=red", "not-tags=red,green", "not-tags-any=red,blue", "tags=", "tags=red&not-tags=green",
                  "fields=name", "fields=name&fields=id", "fields=colour", "fields=", "fields=vip_address&name=a",
                  "sort=name", "sort=name:desc", "sort=name:asc,vip_address:desc", "sort=vip_address:DESC",
                  "sort=description,name", "sort=created_at:desc", "sort=colour", "sort=name:up", "sort=name:asc:x",
                  "sort=", "sort_key=vip_address&sort_dir=desc", "sort_key=name,vip_address&sort_dir=desc",
                  "sort_key=name&sort_dir=up", "limit=2", "limit=4", "limit=5", "limit=0", "limit=-1", "limit=x",
                  "limit=1.5", "limit=", "limit=2&marker={b}", "limit=2&marker={b2}", "limit=1&marker={a}",
                  "marker={b}", f"marker={NONE}", "marker=x",
                  "limit=2&sort=vip_address:desc", "limit=2&sort=vip_address:desc&marker={c}",
                  "limit=2&marker={c}&page_reverse=True", "limit=5&marker={b2}&page_reverse=True",
                  "marker={c}&page_reverse=True", "limit=2&page_reverse=True", "limit=2&name=b"):
        section.get(f"{LBS}?{query}")
    section.listener("l1", 80, balancer="{a}")
    section.listener("l2", 443, balancer="{a}", connection_limit=5)
    section.listener("l3", 80, balancer="{b}")
    section.pool("p1", "{l1}")
    section.ask("POST", POOLS, {"pool": {"name": "p2", "protocol": "TCP", "lb_algorithm": "SOURCE_IP",
                                         "loadbalancer_id": "{b}"}}, save="p2")
    section.member("m1", "10.0.0.4", 80, "{p1}", weight=3)
    section.member("m2", "10.0.0.6", 80, "{p1}", backup=True)
    section.monitor("h1", "{p1}")
    for query in ("loadbalancer_id={a}", "protocol_port=80", "protocol_port=x", "protocol=TCP", "connection_limit=5",
                  "default_pool_id={p1}", "name=l2", "id={l3}", "sort=protocol_port", "sort=protocol_port:desc,name",
                  "load_balancer_id={a}", "limit=2", "limit=2&marker={l2}", "fields=name&sort=name:desc"):
        section.get(f"{LISTENERS}?{query}")
    for query in ("loadbalancer_id={b}", "lb_algorithm=SOURCE_IP", "protocol=TCP", "name=p1", "sort=lb_algorithm",
                  "healthmonitor_id={h1}", "members={m1}", "session_persistence=x"):
        section.get(f"{POOLS}?{query}")
    for query in ("name=m1", "id={m2}", "address=10.0.0.4", "protocol_port=80", "weight=3", "backup=True", "backup=false",
                  "sort=weight:desc", "limit=1", "limit=1&marker={m1}", "monitor_port=5", "colour=x", "fields=address",
                  "subnet_id=x", "admin_state_up=True"):
        section.get(f"{POOLS}/{{p1}}/members?{query}")
    for query in ("type=HTTP", "type=TCP", "name=h1", "delay=5", "pool_id={p1}", "max_retries=2", "sort=delay"):
        section.get(f"{MONITORS}?{query}")
    for name in ("a", "b", "c", "b2"):
        section.remove(name)


def own_attributes(section):
    """Our own attributes: the real service must refuse them, and ours must accept good values and name bad ones."""
    refusals = ["drop", "reset", "DROP", "x", "", None, 5]
    modes = ["fullnat", "dnat", "dsr", "ipip", "gue", "DNAT", "nat", "", None, 5]
    section.post_each(LBS, "loadbalancer", {"name": "own", "vip_subnet_id": SUBNET, "vip_address": "10.0.0.16"},
                      "on_unmatched", refusals)
    announcements = ["always", "healthy", "HEALTHY", "never", "", None, 5]
    section.post_each(LBS, "loadbalancer", {"name": "own", "vip_subnet_id": SUBNET, "vip_address": "10.0.0.17"},
                      "announce", announcements)
    section.walkthrough()
    section.put_each(f"{LBS}/{{lb}}", "loadbalancer", "on_unmatched", refusals)
    section.put_each(f"{LBS}/{{lb}}", "loadbalancer", "announce", announcements)
    listener = {"protocol": "TCP", "protocol_port": 81, "loadbalancer_id": "{lb}"}
    pool = {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "loadbalancer_id": "{lb}"}
    for attribute, values in (("on_no_member", refusals), ("new_connection_limit", INTEGERS + [-1, -2, 0, 10]),
                              ("syn_authentication", ["auto", "always", "off", "AUTO", "on", "", None, 5]),
                              ("on_idle", ["forget", "reset", "RESET", "x", "", None, 5]),
                              ("idle_timeout", INTEGERS + [0, 86400, 86401, 1])):
        section.post_each(LISTENERS, "listener", listener, attribute, values)
        section.put_each(f"{LISTENERS}/{{listener}}", "listener", attribute, values)
    section.post_each(LISTENERS, "listener", {**listener, "protocol": "UDP"}, "udp_scheduling",
                      ["session", "packet", "PACKET", "x", "", None, 5])
    section.put_each(f"{LISTENERS}/{{listener}}", "listener", "udp_scheduling", ["session", "packet", None])
    section.put_each(f"{LISTENERS}/{{listener}}", "listener", "records", [True, False, "x", None])
    section.post_each(LISTENERS, "listener", {**listener, "protocol_port": 5}, "protocol_port_range",
                      INTEGERS + [4, 79, 80, 65535, 65536])
    section.put_each(f"{LISTENERS}/{{listener}}", "listener", "protocol_port_range", [None, 90])
    section.post_each(POOLS, "pool", pool, "forwarding_mode", modes)
    section.put_each(f"{POOLS}/{{pool}}", "pool", "forwarding_mode", modes)
    downs = ["keep", "reset", "drop", "KEEP", "", None, 5]
    section.post_each(POOLS, "pool", pool, "on_member_down", downs)
    section.put_each(f"{POOLS}/{{pool}}", "pool", "on_member_down", downs)
    section.put_each(f"{POOLS}/{{pool}}", "pool", "drain_timeout", INTEGERS + [0, 604800, 604801])
    section.put_each(f"{POOLS}/{{pool}}", "pool", "slow_start", INTEGERS + [0, 86400, 86401])
    section.put_each(f"{POOLS}/{{pool}}/members/{{member}}", "member", "max_connections",
                     INTEGERS + [0, 1, 2147483647, 2147483648])
    section.post_each(POOLS, "pool", pool, "lb_algorithm", ["MAGLEV", "maglev"])
    section.ask("PUT", f"{POOLS}/{{pool}}", {"pool": {"lb_algorithm": "MAGLEV"}})
    for query in ("forwarding_mode=fullnat", "forwarding_mode=x", "fields=forwarding_mode", "sort=forwarding_mode"):
        section.get(f"{POOLS}?{query}")
    section.remove()


def quotas(section):
    """Sets and shows quotas. Another test enforces them, because the oracle runs without authentication."""
    project = "/v2.0/lbaas/quotas/some-project"
    section.get(project)
    section.ask("DELETE", project)
    section.ask("PUT", project, {"quota": {"load_balancer": 5, "listener": -1, "pool": 0}})
    section.get(project)
    section.get(project + "/default")
    section.get("/v2.0/lbaas/quotas")
    for name in ("loadbalancer", "load_balancer", "listener", "member", "pool", "healthmonitor", "health_monitor",
                 "l7policy", "l7rule"):
        for value in (None, "5", 5.7, -1, -2, 2000000000, 2000000001, "x", True):
            section.ask("PUT", project, {"quota": {name: value}})
    section.get(project)
    for text in ("", "{", "[]", '{"quota": {"colour": 1}}', '{"x": {}}', '{"quota": {}}'):
        section.ask("PUT", project, text)
    section.ask("POST", project, {"quota": {}})
    section.ask("DELETE", project)
    section.get(project)
    section.get("/v2.0/lbaas/quotas")


SECTIONS = [service, walkthrough, load_balancers, populated, listeners, pools, members, batches, monitors, lists,
            own_attributes, quotas]
