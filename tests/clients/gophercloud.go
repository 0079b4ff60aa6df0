// The calls that the Kubernetes cloud provider and the Terraform provider make, in their order, with the library
// that both are written with. Settings come from OS_* variables, as theirs do. Ends with 0 if each answer is right.
package main

import (
	"fmt"
	"os"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack"
	"github.com/gophercloud/gophercloud/openstack/loadbalancer/v2/apiversions"
	"github.com/gophercloud/gophercloud/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/openstack/loadbalancer/v2/monitors"
	"github.com/gophercloud/gophercloud/openstack/loadbalancer/v2/pools"
	"github.com/gophercloud/gophercloud/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/openstack/networking/v2/subnets"
)

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func expect(right bool, format string, values ...interface{}) {
	if !right {
		fmt.Fprintf(os.Stderr, format+"\n", values...)
		os.Exit(1)
	}
}

func expectGone(what string, err error) {
	_, gone := err.(gophercloud.ErrDefault404)
	expect(gone, "%s is still there: %v", what, err)
}

type clients struct{ balancer, network *gophercloud.ServiceClient }

func (c clients) active(id string) *loadbalancers.LoadBalancer {
	balancer, err := loadbalancers.Get(c.balancer, id).Extract()
	check("look at the load balancer", err)
	expect(balancer.ProvisioningStatus == "ACTIVE", "the load balancer is %s", balancer.ProvisioningStatus)
	return balancer
}

// What a Service of type LoadBalancer with source ranges and a floating address becomes.
func kubernetes(c clients) {
	pages, err := apiversions.List(c.balancer).AllPages()
	check("list the versions", err)
	versions, err := apiversions.ExtractAPIVersions(pages)
	check("read the versions", err)
	last := versions[len(versions)-1].ID
	expect(last == "v2.26", "the last version is %s; below v2.12 source ranges would be left out", last)

	pages, err = loadbalancers.List(c.balancer, loadbalancers.ListOpts{Name: "kube_service_web"}).AllPages()
	check("look for the load balancer", err)
	found, err := loadbalancers.ExtractLoadBalancers(pages)
	check("read the load balancers", err)
	expect(len(found) == 0, "there are %d load balancers", len(found))

	pages, err = subnets.List(c.network, subnets.ListOpts{Name: "private-subnet"}).AllPages()
	check("look for the subnet", err)
	places, err := subnets.ExtractSubnets(pages)
	check("read the subnets", err)
	expect(len(places) == 1, "there are %d subnets", len(places))

	balancer, err := loadbalancers.Create(c.balancer, loadbalancers.CreateOpts{
		Name: "kube_service_web", Description: "Kubernetes external service", VipSubnetID: places[0].ID}).Extract()
	check("create the load balancer", err)
	balancer = c.active(balancer.ID)

	listener, err := listeners.Create(c.balancer, listeners.CreateOpts{
		Name: "listener_0_kube_service_web", Protocol: listeners.ProtocolTCP, ProtocolPort: 80,
		LoadbalancerID: balancer.ID, AllowedCIDRs: []string{"192.0.2.0/24"}}).Extract()
	check("create the listener", err)
	expect(len(listener.AllowedCIDRs) == 1 && listener.AllowedCIDRs[0] == "192.0.2.0/24",
		"the source ranges are %v", listener.AllowedCIDRs)
	c.active(balancer.ID)
	pool, err := pools.Create(c.balancer, pools.CreateOpts{
		Name: "pool_0_kube_service_web", Protocol: pools.ProtocolTCP, LBMethod: pools.LBMethodRoundRobin,
		ListenerID: listener.ID}).Extract()
	check("create the pool", err)
	c.active(balancer.ID)
	nodes := []pools.BatchUpdateMemberOpts{}
	for _, address := range []string{"10.0.0.4", "10.0.0.6"} {
		name := "node-" + address
		nodes = append(nodes, pools.BatchUpdateMemberOpts{
			Address: address, ProtocolPort: 30080, Name: &name, SubnetID: &places[0].ID})
	}
	check("put the nodes in", pools.BatchUpdateMembers(c.balancer, pool.ID, nodes).ExtractErr())
	c.active(balancer.ID)
	pages, err = pools.ListMembers(c.balancer, pool.ID, pools.ListMembersOpts{}).AllPages()
	check("list the members", err)
	members, err := pools.ExtractMembers(pages)
	check("read the members", err)
	expect(len(members) == 2, "there are %d members", len(members))
	_, err = monitors.Create(c.balancer, monitors.CreateOpts{Name: "monitor_0", PoolID: pool.ID, Type: "TCP",
		Delay: 5, Timeout: 3, MaxRetries: 1}).Extract()
	check("create the monitor", err)

	port, err := ports.Get(c.network, balancer.VipPortID).Extract()
	check("look at the VIP's port", err)
	expect(port.FixedIPs[0].IPAddress == balancer.VipAddress, "the port has %v", port.FixedIPs)
	_, err = ports.Update(c.network, port.ID, ports.UpdateOpts{SecurityGroups: &[]string{}}).Extract()
	check("take the port's security groups away", err)
	pages, err = groups.List(c.network, groups.ListOpts{Name: "lb-sg"}).AllPages()
	check("list the security groups", err)

	pages, err = networks.List(c.network, networks.ListOpts{Name: "public-net"}).AllPages()
	check("look for the public network", err)
	public, err := networks.ExtractNetworks(pages)
	check("read the networks", err)
	address, err := floatingips.Create(c.network, floatingips.CreateOpts{
		FloatingNetworkID: public[0].ID, PortID: port.ID}).Extract()
	check("create the floating address", err)
	expect(address.FixedIP == balancer.VipAddress, "the floating address leads to %s", address.FixedIP)
	statuses, err := loadbalancers.GetStatuses(c.balancer, balancer.ID).Extract()
	check("ask for the status", err)
	expect(statuses.Loadbalancer.ProvisioningStatus == "ACTIVE", "the tree is %v", statuses.Loadbalancer)

	check("delete the floating address", floatingips.Delete(c.network, address.ID).ExtractErr())
	check("delete the load balancer",
		loadbalancers.Delete(c.balancer, balancer.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
	_, err = loadbalancers.Get(c.balancer, balancer.ID).Extract()
	expectGone("the load balancer", err)
}

// `apply` of one resource of each kind, a changed attribute of each, and `destroy`, which goes the way back.
func terraform(c clients) {
	pages, err := subnets.List(c.network, subnets.ListOpts{Name: "private-subnet"}).AllPages()
	check("look for the subnet", err)
	places, err := subnets.ExtractSubnets(pages)
	check("read the subnets", err)
	up := true
	balancer, err := loadbalancers.Create(c.balancer, loadbalancers.CreateOpts{
		Name: "web", VipSubnetID: places[0].ID, VipAddress: "10.0.0.77", AdminStateUp: &up}).Extract()
	check("create the load balancer", err)
	expect(c.active(balancer.ID).VipAddress == "10.0.0.77", "the VIP is %s", balancer.VipAddress)
	limit, idle := 1000, 60000
	listener, err := listeners.Create(c.balancer, listeners.CreateOpts{
		Name: "web", Protocol: listeners.ProtocolTCP, ProtocolPort: 443, LoadbalancerID: balancer.ID,
		ConnLimit: &limit, TimeoutClientData: &idle, TimeoutMemberData: &idle, AdminStateUp: &up}).Extract()
	check("create the listener", err)
	pool, err := pools.Create(c.balancer, pools.CreateOpts{
		Name: "web", Protocol: pools.ProtocolTCP, LBMethod: pools.LBMethodSourceIp, ListenerID: listener.ID,
		Persistence: &pools.SessionPersistence{Type: "SOURCE_IP"}, AdminStateUp: &up}).Extract()
	check("create the pool", err)
	weight := 5
	member, err := pools.CreateMember(c.balancer, pool.ID, pools.CreateMemberOpts{
		Name: "a", Address: "10.0.0.4", ProtocolPort: 443, Weight: &weight, AdminStateUp: &up}).Extract()
	check("create the member", err)
	monitor, err := monitors.Create(c.balancer, monitors.CreateOpts{
		Name: "web", PoolID: pool.ID, Type: "HTTP", Delay: 20, Timeout: 10, MaxRetries: 5, URLPath: "/health",
		ExpectedCodes: "200,202", AdminStateUp: &up}).Extract()
	check("create the monitor", err)

	name := "web2"
	_, err = loadbalancers.Update(c.balancer, balancer.ID, loadbalancers.UpdateOpts{Name: &name}).Extract()
	check("update the load balancer", err)
	limit = -1
	changed, err := listeners.Update(c.balancer, listener.ID, listeners.UpdateOpts{ConnLimit: &limit}).Extract()
	check("update the listener", err)
	expect(changed.ConnLimit == -1, "the limit is %d", changed.ConnLimit)
	_, err = pools.Update(c.balancer, pool.ID, pools.UpdateOpts{LBMethod: pools.LBMethodLeastConnections}).Extract()
	check("update the pool", err)
	weight = 7
	heavier, err := pools.UpdateMember(c.balancer, pool.ID, member.ID, pools.UpdateMemberOpts{Weight: &weight}).Extract()
	check("update the member", err)
	expect(heavier.Weight == 7, "the weight is %d", heavier.Weight)
	_, err = monitors.Update(c.balancer, monitor.ID, monitors.UpdateOpts{Delay: 30}).Extract()
	check("update the monitor", err)

	check("delete the monitor", monitors.Delete(c.balancer, monitor.ID).ExtractErr())
	check("delete the member", pools.DeleteMember(c.balancer, pool.ID, member.ID).ExtractErr())
	_, err = pools.GetMember(c.balancer, pool.ID, member.ID).Extract()
	expectGone("the member", err)
	check("delete the pool", pools.Delete(c.balancer, pool.ID).ExtractErr())
	check("delete the listener", listeners.Delete(c.balancer, listener.ID).ExtractErr())
	check("delete the load balancer", loadbalancers.Delete(c.balancer, balancer.ID, nil).ExtractErr())
	_, err = loadbalancers.Get(c.balancer, balancer.ID).Extract()
	expectGone("the load balancer", err)
}

func main() {
	options, err := openstack.AuthOptionsFromEnv()
	check("read OS_*", err)
	options.DomainName = os.Getenv("OS_USER_DOMAIN_NAME") // as Terraform's provider reads it
	provider, err := openstack.AuthenticatedClient(options)
	check("sign in", err)
	region := gophercloud.EndpointOpts{Region: os.Getenv("OS_REGION_NAME")}
	balancer, err := openstack.NewLoadBalancerV2(provider, region)
	check("find the load balancer service", err)
	network, err := openstack.NewNetworkV2(provider, region)
	check("find the network service", err)
	both := clients{balancer, network}
	kubernetes(both)
	terraform(both)
	fmt.Println("done")
}
