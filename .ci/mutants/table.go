package main

// mutant is the runner with one promise broken.
type mutant struct {
	invariant string // or fault handling that it breaks
	name      string
	edits     []edit
	pkg       string // whose tests
	tests     string // that must notice, as -run has it
}

// edit replaces text that must be in the file exactly so many times.
type edit struct {
	file, old, now string
	times          int // 0 stands for once
}

const (
	kafka     = "./pipeline/kafka"
	commitGo  = "pipeline/kafka/commit.go"
	loopGo    = "pipeline/kafka/loop.go"
	partGo    = "pipeline/kafka/part.go"
	sinkGo    = "pipeline/kafka/sink.go"
	restoreGo = "pipeline/kafka/restore.go"
	lifeGo    = "pipeline/kafka/incarnation.go"
	placeGo   = "pipeline/kafka/place.go"
	offsetsGo = "pipeline/kafka/offsets.go"
	stateGo   = "pipeline/state/partition.go"
	sealGo    = "pipeline/state/commit.go"
	effectsGo = "pipeline/state/effects.go"
)

// in makes the edits of a mutant with one of them.
func in(file, old, now string) []edit { return []edit{{file: file, old: old, now: now}} }

// mutants of all invariants. Where the code has changed, say the same in its new words, and keep the
// promise that is broken.
func mutants() []mutant {
	var all []mutant
	for _, group := range [][]mutant{positions(), folds(), once(), aborted(), timers(), sinks(), owners(), outboxes(), restores(), loads(), places(), standbys(), warmUps()} {
		all = append(all, group...)
	}
	return all
}

func positions() []mutant {
	const tests = "TestInvariantPosition"
	return []mutant{
		{"position", "a partition that read nothing is left out of the offsets", in(offsetsGo,
			"	for _, p := range touched {\n		o := kmsg.New", "	for _, p := range touched {\n		if p.state.Next() == p.state.Position().Offset {\n			continue\n		}\n		o := kmsg.New"), kafka, tests},
		{"position", "the offset has the number of the transaction before", in(offsetsGo,
			"offsetMetadata(p.state.Position().Number + 1)", "offsetMetadata(p.state.Position().Number)"), kafka, tests},
		{"position", "the changelog's number is not raised", in(sealGo,
			"	p.sealed.Number++\n", ""), kafka, tests},
		{"position", "resume by the offset, whatever the number", []edit{{restoreGo,
			"at.Number == commit.number && at.Offset == commit.offset", "at.Offset == commit.offset", 2}}, kafka, tests},
		{"position", "the group gets an offset beyond what was processed", in(offsetsGo,
			"o.Partition, o.Offset, o.LeaderEpoch = p.id, p.state.Next(), -1", "o.Partition, o.Offset, o.LeaderEpoch = p.id, p.state.Next()+1, -1"), kafka, tests},
	}
}

func folds() []mutant {
	const tests = "TestInvariantStoreIsTheFold"
	return []mutant{
		{"store", "changes reach the store before their commit", in(sealGo,
			"	changelog(PositionKey(), p.sealed.Encode())\n	return p.sealed\n",
			"	changelog(PositionKey(), p.sealed.Encode())\n	early := p.back.Batch()\n	for _, w := range p.written {\n		k := &p.cache.open[w.key]\n		c := &k.changes[w.at]\n		p.raw = writeEntry(early, p.raw, c.kind, p.cache.block(k.at).key(), []byte(c.name), c.value, c.ok, 0, 0)\n	}\n	_ = early.Apply()\n	return p.sealed\n"), kafka, tests},
		{"store", "deletions are left out of the changelog", in(sealGo,
			"		if !c.ok {\n			value = nil\n		}\n		changelog(", "		if !c.ok {\n			continue\n		}\n		changelog("), kafka, tests},
		{"store", "the store's place in the changelog is ahead of its state", in(commitGo,
			"p.state.Committed(p.position.Offset + 1)", "p.state.Committed(p.position.Offset + 40)"), kafka, "TestInvariantStoreIsTheFold|TestWarmRestart"},
		{"store", "a save leaves the position out", in(sealGo,
			"	b.Set([]byte{kindPos}, p.committed.Encode())\n", ""), kafka, tests},
	}
}

func once() []mutant {
	const tests = "TestInvariantEachInputOnce"
	return []mutant{
		{"once", "an outcome that is not known is taken for a commit", in(commitGo,
			"	if err := in.client.EndTransaction(ctx, kgo.TryCommit); err != nil {\n		return errors.Join(errNotCommitted, err)\n	}\n", "	_ = in.client.EndTransaction(ctx, kgo.TryCommit)\n"), kafka, tests},
		{"owner", "refused offsets are taken for committed", in(offsetsGo,
			"return errors.Is(err, over) }) {\n			return err\n", "return errors.Is(err, over) }) {\n			return nil\n"), kafka, "TestInvariantOneOwner"},
		{"once", "offsets of what was taken away amid a transaction are committed", in(offsetsGo,
			"		case in.revoked():\n			return errRevoked\n", ""), kafka, "TestRevokedAmidTransaction"},
		{"once", "who is in no group commits", in(offsetsGo,
			"return member != \"\" && generation >= 0 && member == in.known", "return member == in.known"), kafka, "TestRevokedAmidTransaction"},
		{"owner", "what a group that had forgotten a member gives it back is taken for what stayed", in(offsetsGo,
			" && member == in.known", ""), kafka, "TestAnotherMember"},
		{"once", "a commit that a join overtakes is given up", in(offsetsGo,
			"kerr.IllegalGeneration, ", ""), kafka, "TestJoinOvertakesCommit"},
		{"once", "an old broker is not told of the group's offsets", in(offsetsGo,
			"	if !addsGroup {\n", "	if false {\n"), kafka, "TestOldBroker"},
		{"once", "the overlay is kept after a failed commit", in(loopGo,
			"			if err := in.commit(); err != nil {\n				return err\n			}\n		}\n		if in.txn", "			if err := in.commit(); errors.Is(err, errNotCommitted) {\n				in.begun.Store(false)\n				in.txn = openTransaction{}\n			} else if err != nil {\n				return err\n			}\n		}\n		if in.txn"), kafka, tests},
		{"once", "failed input is not undone", in(stateGo,
			"	p.rollBack()\n	if errors.Is(err, pipeline.ErrSettingsPending)", "	if errors.Is(err, pipeline.ErrSettingsPending)"), kafka, tests + "|TestDeadLetters"},
		{"once", "ids seen are left out of the changelog", in(sealGo,
			"	p.seen.seal(p.open.Clock, changelog)\n", ""), kafka, tests + "|TestRestarts"},
		{"once", "dead letters are not produced", in(partGo,
			"		if err := p.in.send(p.deadLetter(&failures[i])); err != nil {\n			return err\n		}\n", "		_ = p.deadLetter(&failures[i])\n"), kafka, tests},
		{"once", "records already processed are taken again", in(partGo,
			"		if r.Offset >= p.next {", "		if r.Offset >= p.next || r.Offset == p.next-1 {"), kafka, tests + "|TestEnqueue"},
	}
}

func aborted() []mutant {
	const tests = "TestInvariantNoAborted"
	return []mutant{
		{"aborted", "mailboxes are read uncommitted", in(lifeGo,
			"kgo.FetchIsolationLevel(kgo.ReadCommitted())", "kgo.FetchIsolationLevel(kgo.ReadUncommitted())"), kafka, tests},
		{"aborted", "changelogs are restored uncommitted", []edit{{restoreGo,
			"kgo.FetchIsolationLevel(kgo.ReadCommitted())", "kgo.FetchIsolationLevel(kgo.ReadUncommitted())", 0}}, kafka, tests},
	}
}

func timers() []mutant {
	const tests = "TestInvariantTimerFiresOnce"
	return []mutant{
		{"timer", "a timer stays when it fires", in(stateGo,
			"	if p.in.Timer != nil {\n		p.set(kindTimer, p.in.Timer.Name, nil, false)\n	}\n", ""), kafka, tests},
		{"timer", "firing opens no transaction", in(stateGo,
			"		p.open.Clock = max(p.open.Clock, t.at)\n		p.touched = true\n", "		p.open.Clock = max(p.open.Clock, t.at)\n"), kafka, tests},
		{"timer", "a timer's place in the order stays in the store", in(sealGo,
			"		if was != 0 {\n", "		if was != 0 && is != 0 {\n"), "./pipeline/state", "TestPartitionIsTheModel"},
	}
}

func sinks() []mutant {
	const tests = "TestInvariantSinkRowsOnce"
	return []mutant{
		{"sink", "every try has a token of its own", in(sinkGo,
			"r.sink.Sink.Write(p.ctx, in, records)", "r.sink.Sink.Write(p.ctx, pipeline.Intent{Topic: in.Topic, Partition: in.Partition, From: in.From, To: in.To + int64(try), Rows: in.Rows, Schema: in.Schema}, records)"), kafka, tests},
		{"sink", "a stored intent is not written again", in(sinkGo,
			"	p.sink.intent = &in\n	return nil\n", "	return nil\n"), kafka, tests},
		{"sink", "the offset moves with the intent", in(sinkGo,
			"return p.state.Edit(nil, p.state.Next(), func", "return p.state.Edit(nil, in.To+1, func"), kafka, tests},
		{"sink", "an intent stays after its write", in(sinkGo,
			"			st.Delete(intentName)\n", ""), kafka, tests},
		{"sink", "rows are written before their intent is committed", in(sinkGo,
			"		return p.makeIntent()\n", "		if err := p.makeIntent(); err != nil || s.intent == nil {\n			return err\n		}\n		return p.writeIntent()\n"), kafka, tests},
		{"sink", "the offset is committed although the write failed", in(sinkGo,
			"		case p.ctx.Err() != nil:\n			return nil", "		case try > 0:\n			return nil"), kafka, tests},
	}
}

func owners() []mutant {
	return []mutant{
		{"owner", "an evicted member's timers are committed without an offset", in(offsetsGo,
			"	for _, p := range touched {\n		o := kmsg.New", "	for _, p := range touched {\n		if p.state.Next() == p.state.Position().Offset {\n			continue\n		}\n		o := kmsg.New"), kafka, "TestInvariantOneOwner/it_only_fires"},
		{"owner", "an evicted member's sink commits without an offset", in(offsetsGo,
			"	req.Topics = append(req.Topics, t)\n", "	if len(touched) > 0 && touched[0].sink == nil {\n		req.Topics = append(req.Topics, t)\n	}\n"), kafka, "TestInvariantOneOwner/it_only_writes"},
		{"owner", "an evicted sink's first intent is committed without an offset", in(offsetsGo,
			"	req.Topics = append(req.Topics, t)\n", "	if len(touched) > 0 && touched[0].sink == nil {\n		req.Topics = append(req.Topics, t)\n	}\n"), kafka, "TestInvariantOneOwner/it_makes"},
		{"owner", "standby keeps what it had claimed when its member starts over", in("pipeline/kafka/standby.go",
			"	s.in.r.unclaim(id, s.token)\n", ""), kafka, "TestStandbyStartsOver"},
		{"owner", "a partition that was revoked is kept", in(loopGo,
			"			in.drop(id)\n", "			_ = id\n"), kafka, "TestRebalanceAtRest"},
		{"owner", "a member that its group lost keeps its lease", in("pipeline/kafka/reader.go",
			"func (h *heartbeats) lost() { h.last.Store(0) }", "func (h *heartbeats) lost() { h.last.Load() }"), kafka, "TestLease"},
		{"owner", "a lease does not end by silence", in("pipeline/kafka/reader.go",
			"Sub(time.Unix(0, last)) < h.life", "Sub(time.Unix(0, last)) < 100*h.life"), kafka, "TestLease"},
	}
}

func outboxes() []mutant {
	const tests = "TestInvariantOutbox"
	return []mutant{
		{"outbox", "stored calls are not handed to the next owner", in(loopGo,
			"c.Assigned(p.id, in.r.reader, calls)", "c.Assigned(p.id, in.r.reader, nil)"), kafka, tests},
		{"outbox", "new calls are not handed over", in(commitGo,
			"caller.Committed(p.id, changes[i].Stored, changes[i].Ended)", "caller.Committed(p.id, nil, changes[i].Ended)"), kafka, tests},
		{"outbox", "a call stays after its end", in(effectsGo,
			"			p.set(kindCall, id, nil, false)\n", ""), kafka, tests},
	}
}

func restores() []mutant {
	return []mutant{
		{"restore", "a store is used however old it is", in(restoreGo,
			" || now.Sub(r.At) > schemas.ChangelogTombstones/2", " || now.IsZero()"), kafka, "TestTombstonesGone|TestOldLocalState"},
		{"restore", "a store from before the changelog's start is used", in(restoreGo,
			"return r.Next < changelog.from || r.Next > changelog.end", "return r.Next > changelog.end"), kafka, "TestStoreOfAnotherChangelog"},
		{"restore", "state of a newer schema is taken", in(stateGo,
			"	if pos.Schema > p.cfg.Schema {", "	if false && pos.Schema > p.cfg.Schema {"), kafka, "TestSchemaVersions"},
		{"restore", "everything is restored, whatever the store has", in(restoreGo,
			"	if pos.Number == 0 {\n", "	if pos.Number >= 0 {\n"), kafka, "TestWarmRestart"},
		{"restore", "topics of small batches are worked with", in("pipeline/kafka/topics.go",
			"err == nil && most < maxBatchBytes", "err == nil && most < 0"), kafka, "TestTopicsMadeByHand"},
		{"restore", "a changelog that forgets is worked with", in("pipeline/kafka/topics.go",
			"		case kept != \"\" && forgets && (", "		case false && kept != \"\" && forgets && ("), kafka, "TestTopicsMadeByHand"},
		{"restore", "a changelog that is behind its group is gone on from", in(restoreGo,
			"	case commit.found:\n		return errBehind{", "	case commit.found && commit.number == 0:\n		return errBehind{"), kafka, "TestChangelogBehindItsGroup"},
	}
}

// loads are a long changelog, folded in memory and given to the store as sorted files.
func loads() []mutant {
	const (
		loadGo   = "pipeline/state/load.go"
		keptGo   = "pipeline/state/kept.go"
		replayGo = "pipeline/state/replay.go"
		state    = "./pipeline/state"
	)
	return []mutant{
		{"load", "only the first file is handed over", in(loadGo,
			"Ingest(context.Background(), files)", "Ingest(context.Background(), files[:1])"), state, "TestLoadIsABatch"},
		{"load", "a deletion is loaded as an empty value", in(loadGo,
			"			err = w.Delete(key)\n", "			err = w.Set(key, nil)\n"), state, "TestLoadIsABatch"},
		{"load", "keys that begin alike are not sorted", in(loadGo,
			"		if n > 1 {\n", "		if false && n > 1 {\n"), state, "TestLoadIsABatch"},
		{"load", "kinds of keys are not sorted", in(loadGo,
			"	for at := range loadDigits {\n		next", "	for at := range loadDigits - 1 {\n		next"), state, "TestLoadIsABatch"},
		{"load", "what begins alike is measured too long", in(loadGo,
			"		common = n\n", "		common = max(common, n)\n"), state, "TestLoadIsABatch"},
		{"load", "files of a load that was killed stay", in(loadGo,
			"		if strings.HasPrefix(name, loadPrefix) {\n", "		if false && strings.HasPrefix(name, loadPrefix) {\n"), state, "TestLoadsAreTakenBack"},
		{"load", "the first value of a key is kept", in(keptGo,
			"bytes.Equal(k.keyOf(r), c.key) {\n			k.set(r, c.value, c.ok)\n", "bytes.Equal(k.keyOf(r), c.key) {\n"), state, "TestKept"},
		{"load", "a longer value is written over what follows", in(keptGo,
			"	if len(value) > int(r.valueLen) {\n", "	if len(k.memory) < int(r.value)+len(value) {\n"), state, "TestKept"},
		{"load", "a deleted key keeps its value", in(keptGo,
			"r.valueLen, r.deleted = uint32(len(value)), !ok", "r.valueLen, r.deleted = uint32(len(value)), false"), state, "TestKept"},
		{"load", "what was forgotten is found again", in(keptGo,
			"	clear(k.index)\n", ""), state, "TestKept"},
		{"load", "a load does not say how far it is", in(replayGo,
			"	batch.Set([]byte{kindPos}, r.pos.Encode())\n", ""), state, "TestPowerLossInLoad"},
		{"load", "a transaction counts before its position", in(replayGo,
			"	r.txn = append(r.txn, replayed{key: key, value: value, ok: value != nil})\n", "	r.kept.put([]replayed{{key: key, value: value, ok: value != nil}})\n"), state, "TestReplayOfHalf"},
	}
}

// places are where a partition goes on when group, state and mailbox do not tell the same.
func places() []mutant {
	const tests = "TestOffsets$"
	return []mutant{
		{"place", "a partition without an offset cannot be placed", in(lifeGo,
			"kgo.ConsumeStartOffset(kgo.NewOffset().At(0))", "kgo.ConsumeStartOffset(kgo.NewOffset().AtStart())"), kafka, "TestOffsets$/forgotten"},
		{"place", "it is read from where the client thinks", in(placeGo,
			"	in.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {p.id: {Epoch: -1, Offset: at}}})\n	placed, known := in.client.CommittedOffsets()[topic][p.id]\n	return known && placed.Offset == at\n",
			"	_, known := in.client.CommittedOffsets()[topic][p.id]\n	return known || kgo.EpochOffset{Offset: at}.Offset >= 0\n"), kafka, tests + "/forgotten"},
		{"place", "a forgotten offset is not committed anew", in(loopGo,
			"	if p.forgotten {", "	if false && p.forgotten {"), kafka, tests + "/forgotten"},
		{"place", "an open transaction is no reason to wait", in(placeGo,
			"!commit.found && all.spans[partition].end < written {", "false && all.spans[partition].end < written {"), kafka, tests + "/undecided"},
		{"place", "records that are gone are not looked for", in(placeGo,
			"	case at < from:", "	case false && at < from:"), kafka, tests + "/eaten"},
		{"place", "a mailbox that ends too soon is read", in(placeGo,
			"	case at > end:", "	case false && at > end:"), kafka, tests + "/madeAnew"},
		{"place", "what failed is left alone for longer and longer", in("pipeline/kafka/config.go",
			"kgo.RetryBackoffFn(backoff), kgo.RequestRetries(40),", "kgo.RequestRetries(40),"), kafka, "TestWaitsEndSoon"},
		{"place", "a stage that ends leaves its offset at a marker", in(loopGo,
			"func (in *incarnation) finish() error {\n	if err := in.settle(); err != nil {\n		return err\n	}\n", "func (in *incarnation) finish() error {\n"), kafka, tests + "/markers$"},
		{"place", "markers at the end count as unread", in(placeGo,
			"		if !p.state.Touched() {\n", "		if false && !p.state.Touched() {\n"), kafka, tests + "/markers$"},
		{"place", "a stage that runs leaves its offset at a marker", in(loopGo,
			"in.r.cfg.Now().Sub(in.settled) >= in.r.settleEvery", "false"), kafka, tests + "/markersOfARunning"},
	}
}

// standbys are copies of state: kept where the group's leader says, and preferred.
func standbys() []mutant {
	const (
		assignorGo = "pipeline/kafka/assignor/assignor.go"
		keepersGo  = "pipeline/kafka/assignor/copies.go"
		balancerGo = "pipeline/kafka/balancer.go"
		copiesGo   = "pipeline/kafka/copies.go"
		assignor   = "./pipeline/kafka/assignor"
	)
	return []mutant{
		{"standby", "a copy is no reason to get a partition", in(assignorGo,
			"	o.moveToCopies()\n", ""), assignor, "TestTakeOver|TestNewestCopy"},
		{"standby", "an older copy will do", in(assignorGo,
			"at > newest ||", "newest < 0 ||"), assignor, "TestNewestCopy"},
		{"standby", "partitions move although their owner stays", in(assignorGo,
			"	o.keep()\n", "	for p := range o.of {\n		o.of[p] = nobody\n	}\n"), assignor, "TestAssign$"},
		{"standby", "an owner keeps a copy of its own", in(keepersGo,
			"		if k.process == owner || k.keeps[p] {", "		if k.keeps[p] {"), assignor, "TestAssign$"},
		{"standby", "copies of one owner's are not spread", in(keepersGo,
			"			cmp.Compare(k.of[owner], best.of[owner]),\n", ""), assignor, "TestTakeOver"},
		{"standby", "the leader's word on copies is not heard", in(balancerGo,
			"	b.r.keepCopies(b.member, k)\n", "	_ = k\n"), kafka, "TestStandbyCopies"},
		{"standby", "a stale claim is believed", in(balancerGo,
			"!ok || meta.Generation > c.generation", "!ok || meta.Generation < c.generation"), kafka, "TestStaleClaim"},
		{"standby", "what lies on the disk is not told", in(copiesGo,
			"		if pos.Number == 0 {\n", "		if pos.Number == 0 || resume.Next > 0 {\n"), kafka, "TestStandbyCopies"},
	}
}

// warmUps are partitions that stay with who is at work on them until others are near.
func warmUps() []mutant {
	const (
		assignorGo = "pipeline/kafka/assignor/assignor.go"
		warmGo     = "pipeline/kafka/assignor/warm.go"
		copiesGo   = "pipeline/kafka/copies.go"
		standbyGo  = "pipeline/kafka/standby.go"
		balancerGo = "pipeline/kafka/balancer.go"
		assignor   = "./pipeline/kafka/assignor"
	)
	return []mutant{
		{"warm-up", "a partition goes to who lacks its state", in(assignorGo,
			"	o.wait(plan.Warm)\n", ""), assignor, "TestWarmUp|TestNewcomer"},
		{"warm-up", "everything is warmed up for at once", in(warmGo,
			"		if len(warm[to.Process]) < warmUps {\n", "		if warmUps > 0 {\n"), assignor, "TestWarmUp|TestNewcomer"},
		{"warm-up", "what is near is not what moves", in(assignorGo,
			"		if other.Warms && other.Near[p] {\n			n++\n", "		if other.Warms && other.Near[p] {\n			n--\n"), assignor, "TestNewcomer"},
		{"warm-up", "members of one process wait for each other", in(warmGo,
			" || to.Process == o.members[had].Process {", " {"), assignor, "TestWarmUp"},
		{"warm-up", "everything counts as near", in(copiesGo,
			"		if left <= r.nearRecords {\n", "		if left <= r.nearRecords+1<<40 {\n"), kafka, "TestWarmUp"},
		{"warm-up", "who has warmed up does not ask", in(standbyGo,
			"		s.in.client.ForceRebalance()\n", ""), kafka, "TestWarmUp"},
		{"warm-up", "what is to be warmed up for is not read", in(copiesGo,
			"append(append(all, k.Copies...), k.Warm...)", "append(all, k.Copies...)"), kafka, "TestWarmUp"},
		{"warm-up", "earlier versions are told what they cannot read", in(balancerGo,
			"		raw, err = json.Marshal(k.Copies)\n", "		raw, err = json.Marshal(k)\n"), kafka, "TestKeeping"},
		{"standby", "who comes back amid a handing over asks for no rebalance", in(balancerGo,
			"	b.unfinished.Store(b.fresh.Load() && (k.Leaves || k.Standby < b.r.cfg.Standby))\n", ""), kafka, "TestHandsOver"},
		{"standby", "who hands over is not told so", in(balancerGo,
			"keeping{Leaves: leaves(m.Owned, shared.Owned[m.ID]), Standby", "keeping{Standby"), kafka, "TestHandsOver"},
		{"standby", "copies are made of what is not committed", in(standbyGo,
			"			kgo.FetchIsolationLevel(kgo.ReadCommitted()),\n", ""), kafka, "TestStandbyKeeps"},
		{"standby", "a copy that is too old is gone on with", in(standbyGo,
			"	if pos.Number == 0 || in.stale(resume, changelog, in.r.cfg.Now()) {\n", "	if pos.Number == 0 {\n"), kafka, "TestStandbyKeeps"},
	}
}
