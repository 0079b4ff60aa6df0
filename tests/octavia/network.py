"""The networks of both services: one for VIPs (IPv4 and IPv6)."""

PROJECT = "eac679e4896146e6827ce29d755fe289"

NETWORK = "5a8b1f6e-33a1-4bbb-8c7c-3f1d7a0c2b10"
SUBNET = "8d3c9f52-1c6a-4a53-9d4c-6b5e1b7f4a11"
SUBNET6 = "9e4daf63-2d7b-4b64-8e5d-7c6f2c805b22"

SUBNETS = [
    {"id": SUBNET, "name": "private-subnet", "network_id": NETWORK, "cidr": "10.0.0.0/16", "ip_version": 4,
     "gateway_ip": "10.0.0.1"},
    {"id": SUBNET6, "name": "private-subnet6", "network_id": NETWORK, "cidr": "2001:db8::/64", "ip_version": 6,
     "gateway_ip": "2001:db8::1"},
]
NETWORKS = [{"id": NETWORK, "name": "private", "subnets": [SUBNET, SUBNET6]}]
