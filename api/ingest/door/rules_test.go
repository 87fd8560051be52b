package door

import (
	"testing"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"

	"tsdb/internal/model"
)

// A request that is held over a change of the rules, as that of a stream is, is stored
// under the new ones; known series too.
func TestRulesChangeUnderAHeldRequest(t *testing.T) {
	back := &backend{store: &store{known: map[model.Hash]model.Ref{}}}
	shared := NewShared(Options{Backend: back, Seed: 1})
	q, err := New(shared, "numbers", 9, func() *numbers { return &numbers{} }).Acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer q.Release()
	q.Decoder.n = 5
	drop := []*relabel.Config{{SourceLabels: prommodel.LabelNames{"__name__"}, Regex: relabel.MustNewRegexp("m[12]"), Action: relabel.Drop}}
	for _, c := range []struct {
		rules         Rules
		floats, drops int
	}{
		{Rules{}, 4, 0}, // series 0 has no sample
		{Rules{Relabel: drop}, 2, 2},
		{Rules{Doors: map[string]DoorRules{"other": {Relabel: drop}}}, 4, 0},
		{Rules{Doors: map[string]DoorRules{"numbers": {Relabel: drop}}}, 2, 2},
		{Rules{Doors: map[string]DoorRules{"numbers": {Limits: Limits{NameBytes: 7}}}}, 0, 0},
	} {
		shared.SetRules(c.rules)
		back.store.drops = 0
		r, err := q.Store(t.Context())
		if err != nil || r.Floats != c.floats || back.store.drops != c.drops {
			t.Errorf("%+v: %+v %v, %d dropped", c.rules, r, err, back.store.drops)
		}
	}
}
