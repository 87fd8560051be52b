package datadog

import (
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

func jsonStep(t testing.TB) func(door.Store) doortest.Step {
	open := func(s *door.Shared) *door.Door[*decoder] { return New(s, door.NamesUTF8).json }
	return doortest.StepOf(t, open, func(d *decoder, body []byte) { d.src = body })
}

func messageStep(t testing.TB) func(door.Store) doortest.Step {
	open := func(s *door.Shared) *door.Door[*messages] { return New(s, door.NamesUTF8).messages }
	return doortest.StepOf(t, open, func(d *messages, body []byte) { d.src = body })
}

func BenchmarkDecode(b *testing.B) {
	json, messages := doortest.FleetDataDog(100_000)
	b.Run("door=datadog/form=json/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, json, jsonStep(b)) })
	b.Run("door=datadog/form=message/samples=2000", func(b *testing.B) { doortest.BenchmarkDecode(b, messages, messageStep(b)) })
}

func TestKnownSeriesAllocateNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, which runs with -short, empties the pool of encoding/json at random")
	}
	json, messages := doortest.FleetDataDog(doortest.FleetSamples)
	doortest.KnownSeriesAllocateNothing(t, json[0], jsonStep(t))
	doortest.KnownSeriesAllocateNothing(t, messages[0], messageStep(t))
}

// FuzzJSON: any body decodes alike with known and new series.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"series":[{"metric":"system.load.1","host":"db1","device":"sda","tags":["env:prod","a","a:1","a:2",":"],"type":"rate","interval":10,"points":[[1346846400,0.7],[1346846410.5,"8"],[1]]}]}`,
		`{"series":[{"metric":"m","resources":[{"type":"host","name":"h"},{"type":"device","name":"sda"}],"points":[{"timestamp":1346846400,"value":1e3},{"value":1}],"tags":null}]}`,
		`{"series":[{}]}`, `{"series":{}}`, `{}`, `{"series":[{"metric":1,"points":[[1,2]],"tags":["x:y",3]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m := doortest.NewMemory()
		q := doortest.Acquire(t, New(doortest.NewShared(m), door.Names(len(src)%2)).json)
		q.Decoder.src = src
		if doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) }) == nil {
			if n := len(m.Samples) + m.Rejected(); n != q.Batch.Offered.Floats {
				t.Fatalf("%s: %d samples and refusals of %d", src, n, q.Batch.Offered.Floats)
			}
		}
	})
}

// FuzzMessages: the same for messages.
func FuzzMessages(f *testing.F) {
	_, messages := doortest.FleetDataDog(2)
	f.Add(messages[0])
	f.Add([]byte("\x0a\x0c\x12\x01m\x22\x07\x09\x00\x00\x00\x00"))
	f.Add([]byte("\x0a\x00\x12\x00"))
	f.Fuzz(func(t *testing.T, src []byte) {
		m := doortest.NewMemory()
		q := doortest.Acquire(t, New(doortest.NewShared(m), door.Names(len(src)%2)).messages)
		q.Decoder.src = src
		if doortest.Twice(t, m, func() (storage.Receipt, error) { return q.Store(t.Context()) }) == nil {
			if n := len(m.Samples) + m.Rejected(); n != q.Batch.Offered.Floats {
				t.Fatalf("%x: %d samples and refusals of %d", src, n, q.Batch.Offered.Floats)
			}
		}
	})
}
