#!/usr/bin/python3
"""The status page in a real browser: the walkthrough is followed on it, and nothing that has a name can do anything there.

Screenshots are kept in the build directory, in tests/e2e/page."""

import datetime
import hashlib
import json
import sys

import browser
import support
from support import BUILD, FairClock, VIP, wait_for

TOKEN = "b3f0c7c1d2e94a5f8a6b7c8d9e0f1a2b"
PROJECT, MEMBERS_TOKEN = "eac679e4896146e6827ce29d755fe289", "ci-ci-ci-ci-ci-ci"
PAGE = "http://127.0.0.1:9876/ui/"
PICTURES = BUILD / "tests/e2e/page"
# What a page that puts names in as markup would run. The last one is for scripts that build others of strings.
HOSTILE = """<img src=x onerror="alert('name')"></script><script>alert('name')</script>${alert('name')}"""


class Page(support.LabTest):
    def start(self, *options):
        token = self.lab.directory / "token"
        lines = [("alice admin", TOKEN), (f"ci member {PROJECT}", MEMBERS_TOKEN)]
        token.write_text("".join(f"{who} sha256:{hashlib.sha256(secret.encode()).hexdigest()}\n" for who, secret in lines))
        token.chmod(0o600)
        self.lab.start_controller("--listen", "127.0.0.1:9876", "--token-file", token, *options)

    def open_page(self, **options):
        page = browser.Browser(self.lab, **options)
        self.addCleanup(page.close)
        page.open(PAGE)
        return page

    def sign_in(self, page, token=TOKEN):
        wait_for(lambda: page.run("return !document.getElementById('sign-in').hidden"), 3, "the form")
        page.type("#token", token)
        page.click("#sign-in button")

    def rows(self, page):
        """The rows that are seen: name -> state."""
        return page.run("""return Object.fromEntries([...document.querySelectorAll('#rows tr[data-id]')].map(
            (row) => [row.querySelector('.title').textContent, row.querySelector('.state').textContent]))""")

    def keep(self, page, name):
        page.screenshot(PICTURES / f"{name}.png")

    def check_nothing_was_refused(self, page):
        """No script failed, nothing broke the page's policy, and no request went elsewhere."""
        self.assertEqual([], [line for line in page.log() if "401" not in line])
        asked = [json.loads(line)["message"] for line in page.log("performance")]
        urls = {one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"}
        self.assertEqual(set(), {url for url in urls if url.startswith(("http", "ws")) and not url.startswith(PAGE)})

    def test_the_walkthrough_is_followed_on_it_and_a_name_is_a_text_whatever_it_says(self):
        lab = self.lab
        lab.serve(80)
        lab.attach()
        self.start()
        page = self.open_page()
        self.sign_in(page, "not a token at all")
        wait_for(lambda: "no token" in (page.text("#refusal") or ""), 3, "the refusal")
        self.sign_in(page)
        wait_for(lambda: page.text("#link") == "live" and page.text("#nothing"), 5, "the empty page")
        self.assertEqual("", page.run("return document.cookie"), "scripts don't see the session")

        lab.ctl("loadbalancer", "create", "--vip-address", VIP, "--name", "lb_test_1")
        lab.add_service("lb_test_1", 80, 80)
        lab.ctl("loadbalancer", "healthmonitor", "create", "--name", "80_healthcheck", "--delay", "1", "--timeout", "1",
                "--max-retries", "1", "--max-retries-down", "1", "--type", "tcp", "80_pool")
        online = {name: "ONLINE" for name in ("lb_test_1", "80_listener", "80_pool", "80_member_1", "80_member_2")}
        wait_for(lambda: self.rows(page) == online, 5, "the walkthrough's objects, ONLINE")

        lab.client("who", VIP, 80, 6)
        wait_for(lambda: page.run("""const row = [...document.querySelectorAll('#rows tr.listener')][0];
            row.click(); const total = [...row.nextElementSibling.querySelectorAll('dd')].map((dd) => dd.textContent);
            row.click(); return total.includes('6')"""), 3, "six connections in the listener's details")

        self.see_a_member_die(page)
        self.look_at_the_other_views(page)
        self.assertEqual([], self.lacks(page), "what a keyboard and a reader need")
        self.meet_hostile_names(page)
        self.check_nothing_was_refused(page)
        markup = page.run("try { document.body.innerHTML = '<img>'; return 'done'; } catch (error) { return error.name; }")
        self.assertEqual("TypeError", markup, "the policy permits no markup of strings")

    def see_a_member_die(self, page):
        """The page is watched by itself, so that the test's own slowness doesn't count."""
        lab = self.lab
        page.run("""window.turned = 0; const watch = new MutationObserver(() => {
            const row = [...document.querySelectorAll('#rows tr.member')].find((one) => one.textContent.includes('80_member_1'));
            if (!window.turned && row.classList.contains('down')) window.turned = Date.now(); });
            watch.observe(document.querySelector('#rows tbody'), {subtree: true, childList: true, attributes: true})""")
        clock = FairClock()
        lab.kill("member1", "tcp80")
        turned = wait_for(lambda: page.run("return window.turned"), 5, "a red row") / 1000
        line = next(line for line in lab.log("lb", "sluiced").splitlines() if "80_member_1" in line and " is down: " in line)
        self.assertLess(clock.between(self.time_of(line), turned), 1, f"red after sluiced knew: {line}")
        clock.stop()
        self.keep(page, "member-down")
        states = self.rows(page)
        self.assertEqual(("ERROR", "ONLINE", "DEGRADED"), tuple(states[name] for name in ("80_member_1", "80_member_2", "80_pool")))
        self.assertIn("1 down", page.text("#totals").replace("\n", " "))
        self.assertIn("1 of 2 members up", page.text("#rows"))
        lab.serve_on(1, 80)
        wait_for(lambda: self.rows(page)["80_member_1"] == "ONLINE", 5, "the member's return")

    @staticmethod
    def time_of(line):
        told = datetime.datetime.strptime(" ".join(line.split()[:2]), "%Y-%m-%d %H:%M:%S.%f")
        return told.timestamp()

    def look_at_the_other_views(self, page):
        page.run("document.activeElement.blur()")
        page.press("2")
        wait_for(lambda: "flow_created" in page.text("#packets"), 3, "packets by reason")
        self.assertIn("A connection was opened", page.text("#packets"))
        page.press("3")
        wait_for(lambda: VIP in page.text("#flows"), 5, "connections")
        self.assertIn("203.0.113.10", page.text("#clients"))
        page.press("4")
        page.type("#from", "192.0.2.7:50514")
        page.type("#to", f"{VIP}:80")
        page.click("#explain button")
        wait_for(lambda: "80_pool" in page.text("#way"), 15, "the way of a packet")
        self.assertIn("flow_created", page.text("#way"))
        self.keep(page, "explain")
        page.run("document.activeElement.blur()")
        page.press("5")
        wait_for(lambda: "is down" in page.text("#events"), 3, "events")
        page.run("location.hash = '#balancers'")
        for width, theme in ((1280, "light"), (1280, "dark"), (420, "dark"), (420, "light")):
            page.resize(width, 800)
            if page.run("return document.documentElement.dataset.theme || 'light'") != theme:
                page.press("t")
            self.assertLessEqual(page.run("return document.documentElement.scrollWidth"), width, "nothing is cut off")
            self.keep(page, f"{theme}-{width}")

    def test_a_projects_member_sees_its_project_alone(self):
        lab = self.lab
        lab.attach()
        self.start()
        lab.ctl("loadbalancer", "create", "--vip-address", VIP, "--name", "lb_theirs")
        lab.ctl("loadbalancer", "create", "--vip-address", "10.0.0.17", "--name", "lb_ours", "--project", PROJECT)
        page = self.open_page()
        self.sign_in(page, MEMBERS_TOKEN)
        wait_for(lambda: self.rows(page) == {"lb_ours": "ONLINE"}, 5, "its load balancer")
        lab.ctl("loadbalancer", "set", "--name", "lb_theirs_2", "lb_theirs")
        lab.ctl("loadbalancer", "set", "--name", "lb_ours_2", "lb_ours")
        wait_for(lambda: self.rows(page) == {"lb_ours_2": "ONLINE"}, 5, "what becomes of it")
        self.assertEqual(["Load balancers", "Events"],
                         page.run("return [...document.querySelectorAll('nav a')].filter((one) => one.offsetParent).map((one) => one.textContent)"))
        page.run("location.hash = '#packets'")
        page.press("2")  # the second view that it has
        wait_for(lambda: "lb_ours" in (page.text("#events") or ""), 3, "its events")
        self.assertNotIn("theirs", page.run("return document.documentElement.textContent"))
        self.keep(page, "project")
        self.check_nothing_was_refused(page)

    def test_a_fleet_is_seen_on_it_and_a_node_is_a_text_whatever_it_is_called(self):
        for tool in ("etcd", "etcdctl"):
            if support.missing(tool):
                self.skipTest(f"{tool} is not installed (run: sudo scripts/install-deps --routing)")
        lab = self.lab
        lab.attach()
        lab.start("lb", "etcd", "etcd", "--data-dir", lab.directory / "etcd", "--log-level", "error")

        def put(key, value):
            return lab.run("lb", "env", "ETCDCTL_API=3", "etcdctl", "put", key, value, check=False).returncode == 0

        wait_for(lambda: put("/ready", "1"), 30, "etcd answers")
        self.start("--cluster", "http://127.0.0.1:2379", "--node", "lb1")
        page = self.open_page()
        self.sign_in(page)
        wait_for(lambda: "FOLLOWING fleet of 1 node," in (page.text("#standing") or ""), 30, "the fleet's line")
        put(f"/sluice/v1/nodes/{HOSTILE}", json.dumps({"name": HOSTILE, "version": HOSTILE, "applied": 0, "errors_count": 2}))
        lab.ctl("loadbalancer", "create", "--vip-address", VIP, "--name", "lb")
        wait_for(lambda: f"behind: {HOSTILE}" in page.text("#standing"), 10, "who lags")
        self.assertIn("2 errors", page.text("#standing"))
        page.click("#standing")
        self.assertIn("lb1this node", page.run("return document.querySelector('#fleet tbody').textContent"))
        self.assertEqual(["lb1", HOSTILE], sorted(page.run("return [...document.querySelectorAll('#fleet .title')].map((one) => one.textContent)"),
                                                  key=len))
        self.assertIsNone(page.dialog())
        self.keep(page, "fleet")
        lab.kill("lb", "etcd")
        wait_for(lambda: all(word in page.text("#standing") for word in ("CUT_OFF", "127.0.0.1:2379")), 30, "cut off, and why")
        self.keep(page, "fleet-cut-off")
        self.check_nothing_was_refused(page)

    @staticmethod
    def lacks(page):
        """Fields without a label, buttons without a name, and rows that no key reaches."""
        return page.run("""return [...document.querySelectorAll('input:not([hidden]), select')].filter((one) => !one.labels.length).map((one) => one.id)
            .concat([...document.querySelectorAll('button')].filter((one) => !one.textContent && !one.ariaLabel).map((one) => one.id))
            .concat(document.querySelectorAll('#rows tr[tabindex="0"]').length === 1 ? [] : ['rows'])""")

    def meet_hostile_names(self, page):
        lab = self.lab
        lab.ctl("lb", "delete", "--cascade", "lb_test_1")
        lab.ctl("lb", "create", "--name", HOSTILE, "--vip-address", VIP)
        lab.ctl("listener", "create", "--name", HOSTILE, "--protocol", "TCP", "--protocol-port", "80", HOSTILE)
        lab.ctl("pool", "create", "--name", HOSTILE, "--listener", HOSTILE, "--protocol", "TCP", "--lb-algorithm", "ROUND_ROBIN")
        lab.ctl("member", "create", "--name", HOSTILE, "--address", "10.0.0.4", "--protocol-port", "80", HOSTILE)
        lab.ctl("healthmonitor", "create", "--name", HOSTILE, "--delay", "1", "--timeout", "1", "--max-retries", "1", "--type", "http",
                "--url-path", "/<img/onerror=alert(1)>", HOSTILE)
        wait_for(lambda: page.run("return document.querySelectorAll('#rows .title').length") == 4, 5, "four rows")
        self.assertEqual([HOSTILE] * 4, page.run("return [...document.querySelectorAll('#rows .title')].map((one) => one.textContent)"))
        page.run("document.querySelectorAll('#rows tr[data-id]').forEach((row) => row.click())")  # their details
        wait_for(lambda: "/<img/onerror=alert(1)>" in page.text("#rows"), 5, "the monitor's path")
        for view in ("connections", "explain", "events", "packets"):
            page.run("location.hash = arguments[0]", f"#{view}")
            wait_for(lambda: page.run("return !document.getElementById(arguments[0]).hidden", view), 3, view)
        page.run("location.hash = '#events'")
        page.run("document.querySelectorAll('#events tbody tr').forEach((row) => row.click())")
        wait_for(lambda: HOSTILE in page.text("#events"), 3, "the name among the events")
        page.type("#find-event", HOSTILE)
        self.assertIsNone(page.dialog())
        self.assertEqual(1, page.run("return document.scripts.length"))
        self.assertEqual(1, page.run("return document.images.length"), "the page's own")


if __name__ == "__main__":
    if why := browser.is_missing():
        print(f"skipped: {why}")
        sys.exit(support.SKIPPED)
    support.main()
