// Bad requests, one per row: each is refused with the right status and a text that names the
// attribute, the value and what would be right, and changes nothing.
#include <boost/algorithm/string/replace.hpp>
#include <ostream>

#include "api_fixture.hpp"

namespace sluice::api {
namespace {

// {lb}, {listener}, {pool}, {member} and {hm} stand for the id of one of each; {none} for an
// unknown id.
struct Row {
  const char* name;
  const char* method;
  const char* target;
  const char* body;
  unsigned status;
  const char* fault;  // a part of the text
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.method << ' ' << row.target << ' ' << row.body;
}

class BadInput : public ApiTest, public testing::WithParamInterface<Row> {
 protected:
  // The data plane can do little, so that the refusals of what it can't do are tested, too.
  BadInput() {
    data_plane_.can = {
        .transports = {model::Protocol::tcp},
        .algorithms = {model::Algorithm::round_robin},
        .forwarding_modes = {model::ForwardingMode::fullnat, model::ForwardingMode::dnat},
        .monitor_types = {model::MonitorType::http, model::MonitorType::tcp},
        .session_persistence = false,
        .allowed_cidrs = false,
        .ipv6 = false};
  }

  std::string fill(std::string text) const {
    const std::pair<const char*, std::string> ids[] = {
        {"{lb}", load_balancer_},    {"{listener}", listener_},
        {"{pool}", pool_},           {"{member}", member_},
        {"{hm}", monitor_},          {"{tcp_hm}", tcp_monitor_},
        {"{bare_pool}", bare_pool_}, {"{none}", "11111111-2222-4333-8444-555555555555"},
    };
    for (const auto& [word, id] : ids) boost::replace_all(text, word, id);
    return text;
  }

  const std::string load_balancer_ = create_load_balancer();
  const std::string listener_ = create_listener(load_balancer_);
  const std::string pool_ = create_pool(listener_);
  const std::string member_ = create_member(pool_);
  const std::string monitor_ = create_monitor(pool_);
  const std::string other_pool_ = create_pool(create_listener(load_balancer_, 443), "443_pool");
  const std::string bare_pool_ = create_pool(create_listener(load_balancer_, 8080), "bare_pool");
  const std::string tcp_monitor_ = create_monitor(other_pool_, "TCP");
};

TEST_P(BadInput, is_refused_and_changes_nothing) {
  const auto before = controller().model();
  const auto row = GetParam();
  auto answer = send({row.method, fill(row.target), fill(row.body)});
  EXPECT_EQ(answer.status, row.status) << answer.response.body;
  if (answer.json.as_object().contains("description")) {  // the path led nowhere
    EXPECT_EQ(text(answer.json.at("description")), fill(row.fault));
    return;
  }
  ASSERT_TRUE(answer.json.as_object().contains("faultstring")) << answer.response.body;
  EXPECT_NE(answer.fault().find(fill(row.fault)), std::string::npos)
      << "expected: " << fill(row.fault) << "\nanswered: " << answer.fault();
  EXPECT_EQ(answer.json.at("faultcode"), row.status < 500 ? "Client" : "Server");
  EXPECT_TRUE(answer.json.at("debuginfo").is_null());
  EXPECT_EQ(controller().model(), before);
}

std::string name_of(const testing::TestParamInfo<Row>& row) {
  return row.param.name;
}

#define LB "/v2.0/lbaas/loadbalancers"
#define LISTENERS "/v2.0/lbaas/listeners"
#define POOLS "/v2.0/lbaas/pools"
#define MEMBERS "/v2.0/lbaas/pools/{pool}/members"
#define MONITORS "/v2.0/lbaas/healthmonitors"

INSTANTIATE_TEST_SUITE_P(
    bodies, BadInput,
    testing::Values(
        Row{"not_json", "POST", LB, "{", 400, "Request is not in valid JSON format"},
        Row{"empty", "POST", LB, "", 400, "Missing argument: \"load_balancer\""},
        Row{"a_list", "POST", LB, "[]", 400, "Request must be a JSON dict"},
        Row{"no_wrapper", "POST", LB, "{}", 400,
            "Invalid input for field/attribute loadbalancer. Value: 'None'. Mandatory field "
            "missing."},
        Row{"wrong_wrapper", "POST", LB, R"({"lb": {"vip_address": "10.0.0.1"}})", 400,
            "Unknown attribute for argument load_balancer: lb"},
        Row{"wrapper_of_a_list", "POST", LISTENERS, R"({"listener": []})", 400,
            "Invalid input for field/attribute listener. Value: '[]'. Value should be an object"},
        Row{"unknown_attribute", "POST", LB,
            R"({"loadbalancer": {"vip_address": "10.0.0.1", "colour": "red"}})", 400,
            "Unknown attribute for argument load_balancer.loadbalancer: colour"},
        Row{"two_unknown_attributes", "PUT", LB "/{lb}", R"({"loadbalancer": {"a": 1, "b": 2}})",
            400, "Unknown attributes for argument load_balancer.loadbalancer: a, b"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    load_balancers, BadInput,
    testing::Values(
        Row{"no_vip", "POST", LB, R"({"loadbalancer": {"name": "x"}})", 400,
            "VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id, vip_address."},
        Row{"subnet_only", "POST", LB,
            R"({"loadbalancer": {"vip_subnet_id": "1c221166-3cb3-4534-915a-b75220ec1873"}})", 400,
            "no subnets are configured, so there is no address to give: pass vip_address"},
        Row{"subnet_that_is_no_id", "POST", LB,
            R"({"loadbalancer": {"vip_address": "10.0.0.1", "vip_subnet_id": "private"}})", 400,
            "field/attribute vip_subnet_id. Value: 'private'. Value should be UUID format"},
        Row{"port_instead_of_address", "POST", LB, R"({"loadbalancer": {"vip_port_id": "{none}"}})",
            400, "Port {none} not found"},
        Row{"bad_ip", "POST", LB, R"({"loadbalancer": {"vip_address": "10.0.0.256"}})", 400,
            "field/attribute vip_address. Value: '10.0.0.256'. Value should be IPv4 or IPv6 "
            "format"},
        Row{"other_provider", "POST", LB,
            R"({"loadbalancer": {"vip_address": "10.0.0.1", "provider": "f5"}})", 400,
            "Provider 'f5' is not enabled."},
        Row{"long_name", "PUT", LB "/{lb}",
            R"({"loadbalancer": {"name": ")"
            "0123456789012345678901234567890123456789012345678901234567890123"
            "0123456789012345678901234567890123456789012345678901234567890123"
            "0123456789012345678901234567890123456789012345678901234567890123"
            R"(0123456789012345678901234567890123456789012345678901234567890123"}})",
            400, "Value should have a maximum character requirement of 255"},
        Row{"name_that_is_a_number", "PUT", LB "/{lb}", R"({"loadbalancer": {"name": 5}})", 400,
            "field/attribute name. Value: '5'. Value should be string"},
        Row{"neither_true_nor_false", "PUT", LB "/{lb}",
            R"({"loadbalancer": {"admin_state_up": "maybe"}})", 400,
            "field/attribute admin_state_up. Value: 'maybe'. Value not an unambiguous boolean"},
        Row{"tags_that_are_no_list", "PUT", LB "/{lb}", R"({"loadbalancer": {"tags": "a"}})", 400,
            "field/attribute tags. Value: 'a'. Value not a valid list"},
        Row{"new_address", "PUT", LB "/{lb}", R"({"loadbalancer": {"vip_address": "10.0.0.9"}})",
            400, "Unknown attribute for argument load_balancer.loadbalancer: vip_address"},
        Row{"same_address", "POST", LB, R"({"loadbalancer": {"vip_address": "10.0.0.16"}})", 409,
            "10.0.0.16"},
        Row{"more_vips", "POST", LB,
            R"({"loadbalancer": {"vip_address": "10.0.0.1", "additional_vips": [{}]}})", 400,
            "no subnets are configured, so there is no address to give: pass ip_address."},
        Row{"the_same_vip_again", "POST", LB,
            R"({"loadbalancer": {"vip_address": "10.0.0.1",
                "additional_vips": [{"ip_address": "10.0.0.1"}]}})",
            400, "VIP address 10.0.0.1 is given more than once."},
        Row{"an_additional_vip_that_is_taken", "POST", LB,
            R"({"loadbalancer": {"vip_address": "10.0.0.1",
                "additional_vips": [{"ip_address": "10.0.0.16"}]}})",
            409, "IP address 10.0.0.16 is already in use"},
        Row{"more_vips_later", "PUT", LB "/{lb}", R"({"loadbalancer": {"additional_vips": []}})",
            400, "Unknown attribute for argument load_balancer.loadbalancer: additional_vips"},
        Row{"flavor", "POST", LB,
            R"({"loadbalancer": {"vip_address": "10.0.0.1", "flavor_id": "{none}"}})", 400,
            "Validation failure: Invalid flavor_id."},
        Row{"unknown", "GET", LB "/{none}", "", 404, "Load Balancer {none} not found."},
        Row{"no_id", "GET", LB "/web", "", 404, "Load Balancer web not found."},
        Row{"update_unknown", "PUT", LB "/{none}", R"({"loadbalancer": {}})", 404,
            "Load Balancer {none} not found."},
        Row{"delete_unknown", "DELETE", LB "/{none}", "", 404, "Load Balancer {none} not found."},
        Row{"status_of_unknown", "GET", LB "/{none}/status", "", 404, "{none} not found."},
        Row{"statistics_of_unknown", "GET", LB "/{none}/stats", "", 404, "{none} not found."}),
    name_of);

#define LISTENER_WITH(attributes)                                                                   \
  R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": 81, )" attributes \
  "}}"

INSTANTIATE_TEST_SUITE_P(
    listeners, BadInput,
    testing::Values(
        Row{"no_protocol", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol_port": 81}})", 400,
            "field/attribute protocol. Value: 'None'. Mandatory field missing."},
        Row{"no_port", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP"}})", 400,
            "field/attribute protocol_port. Value: 'None'. Mandatory field missing."},
        Row{"no_load_balancer", "POST", LISTENERS,
            R"({"listener": {"protocol": "TCP", "protocol_port": 81}})", 400,
            "field/attribute loadbalancer_id. Value: 'None'. Mandatory field missing."},
        Row{"unknown_load_balancer", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{none}", "protocol": "TCP", "protocol_port": 81}})",
            404, "Load Balancer {none} not found."},
        Row{"lower_case_protocol", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "tcp", "protocol_port": 81}})",
            400,
            "field/attribute protocol. Value: 'tcp'. Value should be one of: TCP, HTTPS, HTTP, "
            "TERMINATED_HTTPS, UDP, SCTP, PROMETHEUS"},
        Row{"udp", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "UDP", "protocol_port": 81}})",
            501, "protocol UDP is not supported by this version"},
        Row{"port_0", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": 0}})",
            400,
            "field/attribute protocol_port. Value: '0'. Value should be greater or equal to 1"},
        Row{"port_65536", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": "65536"}})",
            400,
            "field/attribute protocol_port. Value: '65536'. Value should be lower or equal to "
            "65535"},
        Row{"port_that_is_no_number", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": "http"}})",
            400, "field/attribute protocol_port. Value: 'http'. Value should be an integer"},
        Row{"huge_port", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": 1e300}})",
            400, "Value should be lower or equal to 65535"},
        Row{"port_in_use", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": 80}})",
            409,
            "Another Listener on this Load Balancer is already using protocol TCP and "
            "protocol_port 80"},
        Row{"last_port_below_the_first", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": 99,
                             "protocol_port_range": 98}})",
            400,
            "field/attribute protocol_port_range. Value: '98'. Value is the last port of the "
            "range, "
            "which begins with protocol_port 99."},
        Row{"last_port_too_high", "POST", LISTENERS,
            R"({"listener": {"loadbalancer_id": "{lb}", "protocol": "TCP", "protocol_port": 99,
                             "protocol_port_range": 65536}})",
            400, "protocol_port_range. Value: '65536'. Value should be lower or equal to 65535"},
        Row{"new_range", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"protocol_port_range": 99}})", 400,
            "Unknown attribute for argument listener_.listener: protocol_port_range"},
        Row{"new_port", "PUT", LISTENERS "/{listener}", R"({"listener": {"protocol_port": 81}})",
            400, "Unknown attribute for argument listener_.listener: protocol_port"},
        Row{"connection_limit", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"connection_limit": -2}})", 400,
            "field/attribute connection_limit. Value: '-2'. Value should be greater or equal to "
            "-1"},
        Row{"timeout", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"timeout_client_data": 2073600001}})", 400,
            "Value should be lower or equal to 2073600000"},
        Row{"unknown_pool", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"default_pool_id": "{none}"}})", 404, "Pool {none} not found."},
        Row{"pool_that_is_no_id", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"default_pool_id": "80_pool"}})", 400, "Value should be UUID format"},
        Row{"certificate", "POST", LISTENERS,
            LISTENER_WITH(R"("default_tls_container_ref": "http://x/y")"), 400,
            "Certificate container references are not allowed on TCP protocol listeners."},
        Row{"insert_headers", "POST", LISTENERS,
            LISTENER_WITH(R"("insert_headers": {"X-Forwarded-For": "true"})"), 400,
            "insert-headers is not a valid option for a TCP protocol listener."},
        Row{"allowed_cidrs", "POST", LISTENERS, LISTENER_WITH(R"("allowed_cidrs": ["10.0.0.0/8"])"),
            501, "allowed_cidrs"},
        Row{"layer_7_policies", "POST", LISTENERS, LISTENER_WITH(R"("l7policies": [{}])"), 501,
            "l7policies"},
        Row{"unknown", "GET", LISTENERS "/{none}", "", 404, "Listener {none} not found."},
        Row{"statistics_of_unknown", "GET", LISTENERS "/{none}/stats", "", 404,
            "Listener {none} not found."}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    pools, BadInput,
    testing::Values(
        Row{"no_parent", "POST", POOLS,
            R"({"pool": {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}})", 400,
            "Validation failure: Must provide at least one of: loadbalancer_id, listener_id"},
        Row{"no_protocol", "POST", POOLS,
            R"({"pool": {"listener_id": "{listener}", "lb_algorithm": "ROUND_ROBIN"}})", 400,
            "field/attribute protocol. Value: 'None'. Mandatory field missing."},
        Row{"no_algorithm", "POST", POOLS,
            R"({"pool": {"listener_id": "{listener}", "protocol": "TCP"}})", 400,
            "field/attribute lb_algorithm. Value: 'None'. Mandatory field missing."},
        Row{"unknown_listener", "POST", POOLS,
            R"({"pool": {"listener_id": "{none}", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"}})",
            404, "Listener {none} not found."},
        Row{"unknown_load_balancer", "POST", POOLS,
            R"({"pool": {"loadbalancer_id": "{none}", "protocol": "TCP",
                         "lb_algorithm": "ROUND_ROBIN"}})",
            404, "Load Balancer {none} not found."},
        Row{"second_default_pool", "POST", POOLS,
            R"({"pool": {"listener_id": "{listener}", "protocol": "TCP",
                         "lb_algorithm": "ROUND_ROBIN"}})",
            409, "This listener already has a default pool"},
        Row{"odd_algorithm", "POST", POOLS,
            R"({"pool": {"loadbalancer_id": "{lb}", "protocol": "TCP", "lb_algorithm": "RANDOM"}})",
            400, "field/attribute lb_algorithm. Value: 'RANDOM'. Value should be one of:"},
        Row{"least_connections", "POST", POOLS,
            R"({"pool": {"loadbalancer_id": "{lb}", "protocol": "TCP",
                         "lb_algorithm": "LEAST_CONNECTIONS"}})",
            501,
            "lb_algorithm LEAST_CONNECTIONS is not supported by this version (supported: "
            "ROUND_ROBIN)"},
        Row{"proxy_protocol", "POST", POOLS,
            R"({"pool": {"loadbalancer_id": "{lb}", "protocol": "PROXY",
                         "lb_algorithm": "ROUND_ROBIN"}})",
            501,
            "protocol PROXY needs more than packets (supported: TCP, HTTP, HTTPS, "
            "PROXYV2, UDP, SCTP)"},
        Row{"session_persistence", "PUT", POOLS "/{pool}",
            R"({"pool": {"session_persistence": {"type": "SOURCE_IP"}}})", 501,
            "session_persistence"},
        Row{"dsr", "PUT", POOLS "/{pool}", R"({"pool": {"forwarding_mode": "dsr"}})", 501,
            "forwarding_mode dsr is not supported by this version (supported: fullnat, dnat)"},
        Row{"new_connection_limit", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"new_connection_limit": -2}})", 400,
            "field/attribute new_connection_limit. Value: '-2'. Value should be greater or equal "
            "to -1"},
        Row{"idle_timeout", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"idle_timeout": 86401}})", 400,
            "field/attribute idle_timeout. Value: '86401'. Value should be lower or equal to "
            "86400"},
        Row{"odd_on_no_member", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"on_no_member": "RESET"}})", 400,
            "Value should be one of: drop, reset"},
        Row{"odd_syn_authentication", "PUT", LISTENERS "/{listener}",
            R"({"listener": {"syn_authentication": "on"}})", 400,
            "Value should be one of: auto, always, off"},
        Row{"odd_on_member_down", "PUT", POOLS "/{pool}", R"({"pool": {"on_member_down": "drop"}})",
            400, "Value should be one of: keep, reset"},
        Row{"odd_forwarding_mode", "PUT", POOLS "/{pool}",
            R"({"pool": {"forwarding_mode": "DNAT"}})", 400,
            "Value should be one of: fullnat, dnat, dsr, ipip, gue"},
        Row{"tls", "PUT", POOLS "/{pool}", R"({"pool": {"tls_enabled": true}})", 501,
            "tls_enabled"},
        Row{"new_protocol", "PUT", POOLS "/{pool}", R"({"pool": {"protocol": "TCP"}})", 400,
            "Unknown attribute for argument pool_.pool: protocol"},
        Row{"no_more_algorithm", "PUT", POOLS "/{pool}", R"({"pool": {"lb_algorithm": null}})", 400,
            "None is not a valid option for lb_algorithm"},
        Row{"unknown", "GET", POOLS "/{none}", "", 404, "Pool {none} not found."}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    members, BadInput,
    testing::Values(
        Row{"no_address", "POST", MEMBERS, R"({"member": {"protocol_port": 80}})", 400,
            "field/attribute address. Value: 'None'. Mandatory field missing."},
        Row{"no_port", "POST", MEMBERS, R"({"member": {"address": "10.0.0.5"}})", 400,
            "field/attribute protocol_port. Value: 'None'. Mandatory field missing."},
        Row{"host_name", "POST", MEMBERS,
            R"({"member": {"address": "web-1.example.com", "protocol_port": 80}})", 400,
            "field/attribute address. Value: 'web-1.example.com'. Value should be IPv4 or IPv6 "
            "format"},
        Row{"metadata_address", "POST", MEMBERS,
            R"({"member": {"address": "169.254.169.254", "protocol_port": 80}})", 400,
            "169.254.169.254 is not a valid option for member address"},
        Row{"port_below_0", "POST", MEMBERS,
            R"({"member": {"address": "10.0.0.5", "protocol_port": -1}})", 400,
            "Value should be greater or equal to 0"},
        Row{"weight_257", "PUT", MEMBERS "/{member}", R"({"member": {"weight": 257}})", 400,
            "Invalid input for field/attribute weight. Value: '257'. Value should be lower or "
            "equal to 256"},
        Row{"negative_weight", "PUT", MEMBERS "/{member}", R"({"member": {"weight": "-1"}})", 400,
            "field/attribute weight. Value: '-1'. Value should be greater or equal to 0"},
        Row{"monitor_port", "PUT", MEMBERS "/{member}", R"({"member": {"monitor_port": 65536}})",
            400, "field/attribute monitor_port"},
        Row{"monitor_address", "PUT", MEMBERS "/{member}",
            R"({"member": {"monitor_address": "nowhere"}})", 400,
            "field/attribute monitor_address. Value: 'nowhere'"},
        Row{"same_address_and_port", "POST", MEMBERS,
            R"({"member": {"address": "10.0.0.4", "protocol_port": 80}})", 409,
            "Another member on this pool is already using ip 10.0.0.4 on protocol_port 80"},
        Row{"new_address", "PUT", MEMBERS "/{member}", R"({"member": {"address": "10.0.0.5"}})",
            400, "Unknown attribute for argument member_.member: address"},
        Row{"unknown_pool", "POST", POOLS "/{none}/members",
            R"({"member": {"address": "10.0.0.4", "protocol_port": 80}})", 404,
            "Pool {none} not found."},
        Row{"list_of_unknown_pool", "GET", POOLS "/{none}/members", "", 404,
            "Pool {none} not found."},
        Row{"unknown", "GET", MEMBERS "/{none}", "", 404, "Member {none} not found."}),
    name_of);

#define MONITOR_WITH(attributes) R"({"healthmonitor": {"pool_id": "{pool}", )" attributes "}}"
#define NUMBERS R"("delay": 1, "timeout": 1, "max_retries": 1)"

INSTANTIATE_TEST_SUITE_P(
    health_monitors, BadInput,
    testing::Values(
        Row{"no_type", "POST", MONITORS, MONITOR_WITH(NUMBERS), 400,
            "field/attribute type. Value: 'None'. Mandatory field missing."},
        Row{"no_delay", "POST", MONITORS,
            MONITOR_WITH(R"("type": "TCP", "timeout": 1, "max_retries": 1)"), 400,
            "field/attribute delay. Value: 'None'. Mandatory field missing."},
        Row{"no_pool", "POST", MONITORS, R"({"healthmonitor": {"type": "TCP", )" NUMBERS "}}", 400,
            "field/attribute pool_id. Value: 'None'. Mandatory field missing."},
        Row{"unknown_pool", "POST", MONITORS,
            R"({"healthmonitor": {"pool_id": "{none}", "type": "TCP", )" NUMBERS "}}", 404,
            "Pool {none} not found."},
        Row{"second", "POST", MONITORS, MONITOR_WITH(R"("type": "TCP", )" NUMBERS), 409,
            "This pool already has a health monitor"},
        Row{"check_of_another_type", "POST", MONITORS,
            MONITOR_WITH(R"("type": "TCP", "check": "deep", )" NUMBERS), 400,
            "check is not a valid option for health monitors of type TCP"},
        Row{"no_check", "POST", MONITORS, MONITOR_WITH(R"("type": "EXTERNAL", )" NUMBERS), 400,
            "A health monitor of type EXTERNAL must name a check."},
        Row{"a_path_as_check", "POST", MONITORS,
            MONITOR_WITH(R"("type": "EXTERNAL", "check": "/bin/sh", )" NUMBERS), 400,
            "field/attribute check. Value: '/bin/sh'. Value should have 1 to 64 letters"},
        Row{"a_command_of_ours", "POST", MONITORS,
            MONITOR_WITH(R"("type": "EXTERNAL", "check": "deep", "command": "/bin/sh", )" NUMBERS),
            400, "Unknown attribute for argument health_monitor_.healthmonitor: command"},
        Row{"lower_case_type", "POST", MONITORS, MONITOR_WITH(R"("type": "http", )" NUMBERS), 400,
            "field/attribute type. Value: 'http'. Value should be one of: HTTP, HTTPS, PING, TCP"},
        Row{"ping", "POST", MONITORS,
            R"({"healthmonitor": {"pool_id": "{bare_pool}", "type": "PING", )" NUMBERS "}}", 501,
            "type PING is not supported by this version (supported: HTTP, TCP)"},
        Row{"eleven_retries", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"max_retries": 11}})",
            400, "field/attribute max_retries. Value: '11'. Value should be lower or equal to 10"},
        Row{"no_retries", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"max_retries_down": 0}})",
            400, "Value should be greater or equal to 1"},
        Row{"negative_delay", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"delay": -1}})", 400,
            "Value should be greater or equal to 0"},
        Row{"no_more_delay", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"delay": null}})", 400,
            "None is not a valid option for delay"},
        Row{"codes", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"expected_codes": "2xx"}})",
            400, "expected_codes"},
        Row{"codes_mixed", "PUT", MONITORS "/{hm}",
            R"({"healthmonitor": {"expected_codes": "200-204,301"}})", 400, "expected_codes"},
        Row{"path", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"url_path": "health"}})", 400,
            "url_path"},
        Row{"path_with_host", "PUT", MONITORS "/{hm}",
            R"({"healthmonitor": {"url_path": "http://x/health"}})", 400, "url_path"},
        Row{"path_with_a_blank", "PUT", MONITORS "/{hm}",
            R"({"healthmonitor": {"url_path": "/a b"}})", 400, "url_path"},
        Row{"path_that_smuggles_a_header", "PUT", MONITORS "/{hm}",
            R"({"healthmonitor": {"url_path": "/\r\nX-Evil: 1"}})", 400, "url_path"},
        Row{"method", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"http_method": "get"}})", 400,
            "field/attribute http_method. Value: 'get'. Value should be one of: GET, HEAD"},
        Row{"version", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"http_version": 2.0}})", 400,
            "Value should be one of: 1.0, 1.1"},
        Row{"domain_name_without_version", "PUT", MONITORS "/{hm}",
            R"({"healthmonitor": {"domain_name": "www.example.com"}})", 400, "http_version"},
        Row{"path_on_tcp", "PUT", MONITORS "/{tcp_hm}", R"({"healthmonitor": {"url_path": "/x"}})",
            400, "url_path is not a valid option for health monitors of type TCP"},
        Row{"new_type", "PUT", MONITORS "/{hm}", R"({"healthmonitor": {"type": "TCP"}})", 400,
            "Unknown attribute for argument health_monitor_.healthmonitor: type"},
        Row{"unknown", "GET", MONITORS "/{none}", "", 404, "Health Monitor {none} not found."}),
    name_of);

TEST_F(ApiTest, a_body_of_another_type_is_refused) {
  Request request{"POST", "/v2/lbaas/pools", "a=b"};
  request.content_type = "application/x-www-form-urlencoded";
  auto answer = send(request);
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.fault().find("send Content-Type: application/json"), std::string::npos);
}

TEST_F(ApiTest, an_unknown_path_is_not_found) {
  for (auto target : {"/nothing", "/v3", "/v2/lbaas/nothing", "/v2.0/lbaas/pools/a/b/c/d", "//"}) {
    auto answer = get(target);
    EXPECT_EQ(answer.status, 404) << target;
    EXPECT_EQ(answer.json.at("code"), 404);
    EXPECT_EQ(answer.json.at("title"), "Not Found");
    EXPECT_TRUE(answer.json.as_object().contains("description"));
  }
}

TEST_F(ApiTest, a_wrong_method_is_told_which_are_right) {
  auto answer = send({"PATCH", "/v2/lbaas/pools", ""});
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.json.at("code"), 405);
  EXPECT_EQ(answer.json.at("title"), "Method Not Allowed");
  EXPECT_EQ(answer.response.allow, "GET, POST");
}

TEST_F(ApiTest, what_is_not_utf8_is_refused_with_an_answer_that_is_json) {
  for (const auto* target : {"/v2/lbaas/pools/\xff", "/v2/lbaas/pools?limit=%ff",
                             "/v2/lbaas/pools?sort=%c3%28", "/v1/events?kind=%80"}) {
    const auto answer = get(target);  // which parses the answer
    EXPECT_EQ(answer.status, 400U) << target;
    EXPECT_NE(answer.response.body.find("\\\\x"), std::string::npos) << answer.response.body;
  }
}

}  // namespace
}  // namespace sluice::api
