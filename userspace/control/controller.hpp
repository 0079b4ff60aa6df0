// Controller: owns the desired state and keeps store and data plane equal to it.
//
// It is single-threaded: every call comes from the event loop's thread, and none waits for the
// disk. A request is checked on a copy and handed to the store's writer; once it is stored it
// becomes part of the model, is applied to the data plane and answered. Until then everybody sees
// the state before it. Further requests wait and become one commit when the disk is ready for the
// next. Health and suspicions reach the data plane at once, whatever the disk does, and the store
// with the next commit.
//
// Requests and what follows from them are worked on in slices (work_in_slices), so that a large one
// keeps nobody waiting for the thread. Between two slices everybody sees the state before the
// request or, once it is stored, the whole state after it. Packets meet the states in between, as
// they do between any two operations (reconciler.hpp). Health and suspicions reach the data plane
// between two slices, too.
//
// Somebody else may change the store, too. A commit that clashes with that is given up, the newer
// state is taken over, and the requests are carried out again on it. Without a commit of ours the
// newer state is taken over as soon as changed_elsewhere() tells of it.
//
// If applying fails, the objects that were pending become ERROR with the reason, and the next
// change or drift check tries again.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/slices.hpp"
#include "control/apply.hpp"
#include "control/data_plane.hpp"
#include "control/desired.hpp"
#include "control/provisioning.hpp"
#include "control/reconciler.hpp"
#include "control/slow_start.hpp"
#include "model/networks.hpp"
#include "model/objects.hpp"
#include "model/status.hpp"
#include "model/supported.hpp"
#include "store/store.hpp"
#include "store/writer.hpp"

namespace sluice::control {

class Settlement;

// Lets a test stop or fail applying, to see states that otherwise last milliseconds.
enum class Hook {
  none,
  hold,  // changes are stored and stay PENDING_*
  fail,  // applying fails: what is pending becomes ERROR
};

class Controller {
 public:
  // Reads the stored state and makes the data plane equal to it, whatever that holds from an
  // earlier run. Fails without changes if the data plane is newer than the store (store_age.hpp)
  // and `age` does not accept that. `standby`: see set_standby(), `node_snat`: set_node_snat(). A
  // refusal of the data plane leaves objects in ERROR. From here on only the writer uses the store.
  enum class Age { check, accept_older };
  static Result<std::unique_ptr<Controller>> start(store::Contents contents, store::Writer& writer,
                                                   DataPlane& data_plane, Age age = Age::check,
                                                   bool standby = false, NodeSnat node_snat = {});
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Has long work go on in a later turn of the event loop each time that it has taken so long.
  // Without this call all work is done within the call that asks for it.
  void work_in_slices(Slices::Later later, std::chrono::nanoseconds longest) {
    slices_.set(std::move(later), longest);
  }
  // For answers that take long to find.
  Slices& slices() { return slices_; }
  // Objects that were compared with what they were before, for tests.
  std::size_t objects_looked_at() const { return desired_.looked_at(); }
  // Has the data plane hold a stored change that is still on its way there. For the end of the
  // event loop, which gives no more turns.
  void finish();

  // The networks to allocate addresses from; empty until the daemon has declared them.
  const model::Networks& networks() const { return networks_; }
  void set_networks(model::Networks networks) { networks_ = std::move(networks); }

  // The stored model; within a request, including its changes so far.
  const model::Model& model() const { return staged_ ? *staged_ : model_; }
  // Only within a request: the model when it began.
  const model::Model& before_request() const { return before_request_ ? *before_request_ : model_; }
  const model::HealthTable& health() const { return health_; }
  // Asks the data plane about every listener that has a connection_limit.
  model::FullListeners full_listeners();
  DataPlane& data_plane() { return *data_plane_; }

  // Carries out `request` when the commits before it are done, and calls `done` when its changes
  // are stored and applied, or with the reason why none was. Success means stored; the objects'
  // provisioning status tells whether the data plane took them. A request is carried out again when
  // somebody else has changed the store meanwhile, so it must have no other effects than those of
  // change() and record(); after so many clashes it fails with ErrorKind::conflict.
  static constexpr int most_clashes = 5;
  using Request = std::function<Result<void>()>;
  using Done = std::function<void(Result<void>)>;
  void submit(Request request, Done done);

  // The same for a request that takes long: it is called until it returns `done`, perhaps in
  // several turns. It sees its own changes so far, and nobody else's.
  enum class Progress { done, more };
  using LongRequest = std::function<Result<Progress>()>;
  void submit_long(LongRequest request, Done done);

  // Only within a long request: tells whether its changes so far would be permitted, and takes them
  // back. It is called until it returns `done`, and the request does nothing else meanwhile.
  Result<Progress> rehearse();

  // Only within a request: runs `edit` on the request's changes so far.
  using Edit = std::function<Result<void>(model::Model&)>;
  Result<void> change(const Edit& edit);

  // Only within a request: makes the calls of change() within `changes` happen all or none;
  // `changes` must fail if one of them did. A rehearsal only tells whether they would be permitted.
  enum class Ending { commit, rehearse };
  Result<void> transaction(const Request& changes, Ending ending = Ending::commit);

  // Says that somebody else has changed the store, which is read and taken over as soon as it has
  // no commit of ours.
  void changed_elsewhere();

  // The generation of the store up to which the data plane was made equal to it, read back.
  std::uint64_t applied_generation() const { return applied_generation_; }
  // Is asked before changes of this generation, which are stored and applied, are answered; calls
  // its second argument when they may be.
  using BeforeAnswer = std::function<void(std::uint64_t, std::function<void()>)>;
  void set_before_answer(BeforeAnswer before_answer) { before_answer_ = std::move(before_answer); }

  // Only within a request that has changed this load balancer: once the change is stored, the data
  // plane is read back and mended, and then its program is loaded anew (DataPlane::reload). The
  // load balancer is PENDING_UPDATE until that is over, and an event tells how it went. Load
  // balancers that ask for it at about the same time share one reload.
  void reload_for(const Uuid& load_balancer);

  // Stores the events in the same commit as the request's changes, so that neither is there without
  // the other. Only within a request.
  void record(std::vector<model::EventRecord> events);
  // Stores the event with the next commit, which it does not cause. While the store takes none, the
  // newest `most_unstored_events` are kept.
  static constexpr std::size_t most_unstored_events = 10'000;
  void note(model::EventRecord event);
  // Commits the noted events, even if nothing else is to be stored.
  void store_notes();
  // Returns how many noted events were dropped before the store had them.
  std::uint64_t forgotten_notes() const { return forgotten_notes_; }

  // Says whether the store has a commit that it has not answered.
  bool committing() const { return committing_; }
  // When it was given that commit; nullopt: it has none.
  std::optional<std::chrono::steady_clock::time_point> committing_since() const {
    return committing_ ? std::optional(committing_since_) : std::nullopt;
  }
  // The number of commits that it was given.
  std::uint64_t commits() const { return commits_; }
  // Why the store refused the last commit that it answered; empty: it took it.
  const std::string& store_failure() const { return store_failure_; }
  // Says that the store takes changes, as if it had taken one.
  void store_takes_changes();

  // The writer, for backups, which it makes and reads between commits.
  store::Writer& store_writer() { return *writer_; }

  // Sets the probed state of members: applied at once, and stored when the disk is ready. Unknown
  // members and those that are not probed (model::probed) are ignored. A change forgets the health
  // of members that are no longer probed.
  void set_health(const model::HealthTable& changes);

  // Keeps new connections away from these members from now on (reconciler.hpp). It is not stored:
  // after a restart nobody is suspected.
  void set_suspects(Suspects suspects);
  const Suspects& suspects() const { return suspects_; }

  // Ends the connections of these members from now on. It is not stored, because it follows from
  // the members' drain_until.
  void set_overdue(Overdue overdue);

  // Gives these members only a part of their weight from now on, as their checks ask. It is not
  // stored: after a restart their next probes tell it again.
  void set_reduced(Reduced reduced);
  const Reduced& reduced() const { return reduced_; }

  // The checks that EXTERNAL monitors may name: those that this node declares. A stored monitor
  // that names another one is ERROR, alone: nobody probes its members, which stay as they are.
  struct Checks {
    std::set<std::string> names;
    std::string node;  // for the reason
  };
  void set_checks(Checks checks);

  // Gives members that are starting slowly their present share of the connections. Returns when
  // there will be something to do again; nullopt: nobody is starting.
  std::optional<SlowStart::Time> continue_slow_starts();
  // Returns the time until the member has its full share; nullopt: it has.
  std::optional<SlowStart::Time::duration> slow_start_left(const Uuid& member) const;
  // For tests: the clock of slow starts.
  void set_clock(std::function<SlowStart::Time()> clock) { clock_ = std::move(clock); }

  // Says whether another node of the link answers ARP, neighbour solicitations and pings for the
  // VIPs from now on.
  void set_standby(bool standby);
  bool is_standby() const { return standby_; }

  // The SNAT addresses of nodes from now on. It is not stored: it follows from this node's
  // configuration and from the fleet.
  void set_node_snat(NodeSnat node_snat);
  const NodeSnat& node_snat() const { return node_snat_; }
  // Those that the data plane holds as they should be, as far as it was read back; nullopt: that is
  // not known at the moment.
  std::optional<std::map<IpAddress, NodeSnatAddress>> held_node_snat() const;

  // Is told by each sweep how many connections have each of the SNAT addresses that were taken
  // away. One that two sweeps in a row have found unused is no longer answered for: a single one
  // may miss a connection that is moved within its table.
  void note_leaving_sources(const std::map<IpAddress, std::uint64_t>& connections);
  // What the last sweep has told.
  const std::map<IpAddress, std::uint64_t>& leaving_sources() const { return leaving_sources_; }

  // Continues with this data plane and makes it equal to the desired state. It must outlive the
  // controller or the next call.
  void adopt(DataPlane& data_plane);
  // Says that packets do not meet what the data plane writes: until the next adopt() nothing is
  // applied, and all objects are ERROR for this reason. Changes are still stored.
  void lose_data_plane(const Error& why);
  bool is_lost() const { return lost_.has_value(); }

  // The VIPs that the data plane holds, up and as desired, and load balancers' SNAT addresses, also
  // those that are leaving, which connections still need, as far as it was read back; nullopt: that
  // is not known at the moment. Of a data plane that is lost nothing is held.
  std::optional<std::map<IpAddress, Uuid>> held_vips() const;

  // Compares the maps with the desired state and repairs them; returns one line per repair for the
  // log.
  Result<std::vector<std::string>> repair_drift();
  // The same in slices, as long as nothing needs repair. A check during which something is changed
  // tells nothing; after a few of these the next one is made at once.
  using Repaired = std::function<void(Result<std::vector<std::string>>)>;
  void check_drift(Repaired done);

  // For tests: is asked before each attempt to apply. Once it allows applying again, repair_drift()
  // catches up.
  void set_hook(std::function<Hook()> hook) { hook_ = std::move(hook); }

  // Is called after every successful change (of model or health), in order of registration.
  void on_change(std::function<void()> observer);

  // Is called with one line per event for the log: an object became ERROR or ACTIVE again, the
  // store failed or recovered. Lines from start() are kept for the first listener.
  void on_event(std::function<void(const std::string&)> listener);

 private:
  Controller(store::Contents contents, store::Writer& writer, DataPlane& data_plane);

  struct Waiting {
    LongRequest request;
    Done done;
    int clashes = 0;
  };
  // The requests of one commit.
  struct Group {
    model::Model before, next;  // what they begin with, and their result
    bool has_changed = false;   // the two differ
    std::vector<Waiting> accepted;
    std::vector<model::EventRecord> events;
    std::vector<Uuid> reloads;  // the load balancers of reload_for()
  };
  // The requests of the next commit, while they are carried out.
  struct Planning {
    Group group;
    std::deque<Waiting> waiting;  // the present one, and those after it
    std::vector<std::function<void()>> refusals;
    bool has_begun = false;  // the present one
    model::Model before;     // it began
    std::size_t events_before = 0, reloads_before = 0;
    std::optional<model::SupportCheck> rehearsal, judgement;  // under way, of its changes
  };
  // A commit, and what the store contains after it.
  struct Missing {
    store::Commit commit;  // moved to the writer
    model::Model model;
    model::HealthTable health;
    std::vector<model::EventRecord> notes;  // of the commit, for the next one if it fails
  };

  Result<model::SupportCheck> begin_to_permit(const model::Model& next) const;
  Result<void> permit(const model::Model& next) const;
  Result<void> or_as_before(const std::function<Result<void>()>& edit);
  bool is_busy() const;
  void proceed();
  void begin_group();
  bool carry_on();
  void judge(Result<Progress> outcome);
  void end_request(Result<void> judged);
  void commit_group();
  Missing missing_in_store(const Group& group) const;
  void add_events(Missing& missing, Group& group);
  void committed(Group group, const Missing& stored, Result<std::uint64_t> outcome);
  void apply_group(Group group);
  void end_of_commit(Group group);
  void clashed(Group group, const Missing& stored, const Error& error);
  void carry_out_again(Group group);
  void take_over(store::Contents contents);
  void fetch_changes();
  void answer(Group group) const;
  void note_stored(const Missing& stored, std::uint64_t generation);
  void take_notes_back(const Missing& missing);
  void forget_surplus_notes();
  void note_store_failure(const Error& error);
  void note_position();

  // A drift check that is under way.
  struct DriftCheck {
    std::unique_ptr<Reading> reading;  // null: the data plane is another
    std::uint64_t disturbances = 0;    // when it began
    // The numbers of entries that were found and compared.
    std::size_t vips = 0, listeners = 0, pools = 0, members = 0;
    std::optional<Error> error = {};
    bool differs = false;
  };
  bool is_repair_due();
  bool check_some();
  void end_check(const Repaired& done);

  enum class Verify { read_back, trust };
  void follow_up(Verify verify);
  Attempt bring_in_line(Verify verify);
  // A stored change on its way to the data plane.
  struct Applying {
    bool compare_all = false;   // at the end, because the operations are not all that is to be done
    bool doubtful = false;      // one was refused, or is not there when it is read back
    std::size_t read_back = 0;  // operations
    Difference difference = {};  // until the operations are known
    Application application = {};
  };
  void begin_to_apply();
  bool plan_some();
  void plan_is_made();
  bool go_on_applying();
  bool read_some_back();
  void end_applying(const std::function<void()>& then);
  void keep_up();
  void apply_beside(const std::vector<Operation>& operations);
  Attempt read_what_is_missing(std::vector<Refusal> refusals);
  Knowledge known();
  Attempt nothing_of_it(const Error& why);
  const std::map<Uuid, std::string>& unknown_checks();
  std::vector<Operation> missing_operations();
  void tell_of_leaving(const std::vector<Operation>& operations);
  void settle(Attempt attempt);
  Settlement begin_to_settle(Attempt attempt);
  void end_settling(Settlement& settlement);
  void start_reload();
  void reloaded(const Result<Reloaded>& outcome);
  void prune_health(const model::Model& before);
  void notify();
  void event(std::string line);

  store::Writer* writer_;
  DataPlane* data_plane_;
  model::Networks networks_;
  model::Model model_;
  model::HealthTable health_;
  Suspects suspects_;
  Overdue overdue_;
  Reduced reduced_;
  std::optional<Checks> checks_;                        // unset: the daemon has not told yet
  model::Table<model::HealthMonitor> judged_monitors_;  // by unknown_checks()
  std::map<Uuid, std::string> unknown_checks_;          // by monitor: the reason
  SlowStart slow_start_;
  std::function<SlowStart::Time()> clock_ = std::chrono::steady_clock::now;
  bool standby_ = false;
  std::optional<model::Model> staged_;  // within a request: its changes so far
  bool in_transaction_ = false;
  std::optional<model::Model> before_request_;  // unset: model_
  std::deque<Waiting> waiting_;
  Slices slices_;
  std::optional<Planning> planning_;
  std::optional<Applying> applying_;
  std::optional<DriftCheck> drift_check_;
  int disturbed_checks_ = 0;        // in a row
  std::uint64_t disturbances_ = 0;  // changes of what actual_ is, or of the data plane itself
  store::Contents stored_;          // as far as the store has answered
  bool proceeding_ = false;         // within proceed()
  bool committing_ = false;         // the store has a commit that it has not answered
  std::chrono::steady_clock::time_point committing_since_;
  bool unsaved_ = false;   // model_ or health_ may be ahead of stored_
  bool outdated_ = false;  // somebody else has changed the store since stored_
  std::uint64_t applied_generation_ = 0;
  std::uint64_t commits_ = 0;
  int clashes_ = 0;                        // in a row
  std::uint64_t generation_at_least_ = 0;  // of the next commit; 0: the store counts
  std::string store_failure_;              // of the last commit; empty: it was stored
  Desired desired_;
  std::optional<DataPlaneState> actual_;      // as far as we know; unset: to be read
  bool in_line_ = false;                      // actual_ is what desired_ said last
  std::optional<Error> lost_;                 // why packets do not meet what data_plane_ writes
  std::vector<model::EventRecord> recorded_;  // within a request: by its group so far
  std::deque<model::EventRecord> notes_;      // not yet in a commit
  bool notes_due_ = false;
  std::uint64_t forgotten_notes_ = 0;
  std::vector<std::function<void()>> observers_;
  std::vector<std::function<void(const std::string&)>> listeners_;
  std::vector<std::string> unheard_;
  BeforeAnswer before_answer_ = [](std::uint64_t, const std::function<void()>& go_on) { go_on(); };
  std::function<Hook()> hook_ = [] { return Hook::none; };
  std::vector<Uuid> reloads_;       // within a request: by its group so far
  std::set<Uuid> awaiting_reload_;  // load balancers
  bool reloading_ = false;          // the data plane has not ended its reload
  std::map<IpAddress, std::uint64_t> leaving_sources_;
  NodeSnat node_snat_;
};

}  // namespace sluice::control
