"""An operator's script with openstacksdk: creates, shows, changes and removes a service with two members."""

import openstack

cloud = openstack.connect()
lb = cloud.load_balancer
subnet = cloud.network.find_subnet("private-subnet", ignore_missing=False)
balancer = lb.create_load_balancer(name="web", vip_subnet_id=subnet.id)
balancer = lb.wait_for_load_balancer(balancer.id, interval=0.1)
listener = lb.create_listener(name="web", protocol="TCP", protocol_port=80, load_balancer_id=balancer.id,
                              allowed_cidrs=["192.0.2.0/24"])
pool = lb.create_pool(name="web", protocol="TCP", lb_algorithm="ROUND_ROBIN", listener_id=listener.id)
members = [lb.create_member(pool, name=f"m{n}", address=f"10.0.0.{2 + 2 * n}", protocol_port=80) for n in (1, 2)]
monitor = lb.create_health_monitor(name="web", pool_id=pool.id, type="HTTP", delay=5, timeout=3, max_retries=2,
                                   url_path="/health")

assert [one.name for one in lb.load_balancers()] == ["web"]
assert lb.find_listener("web").allowed_cidrs == ["192.0.2.0/24"]
assert {one.name for one in lb.members(pool)} == {"m1", "m2"}
assert lb.update_member(members[0], pool, weight=5).weight == 5
assert lb.get_load_balancer_statistics(balancer.id).total_connections == 0
address = cloud.network.create_ip(floating_network_id=cloud.network.find_network("public-net").id,
                                  port_id=balancer.vip_port_id)
assert address.fixed_ip_address == balancer.vip_address
assert [one.project_id for one in lb.pools()] == [balancer.project_id]

cloud.network.delete_ip(address)
lb.delete_health_monitor(monitor)
lb.delete_load_balancer(balancer, cascade=True)
assert lb.find_load_balancer("web") is None
