package ingest

import (
	"encoding/json"
	"net/http"
	"time"

	"tsdb/api/ingest/door"
)

const rejectedPath = "/api/v1/status/rejected"

// refusal is a refusal in an answer.
type refusal struct {
	Time    time.Time  `json:"time"`
	Samples int        `json:"samples"`
	Series  string     `json:"series"`
	At      *time.Time `json:"sampleTime,omitempty"`
	Detail  string     `json:"detail"`
}

// refusals are those of a door for a reason.
type refusals struct {
	Door     string    `json:"door"`
	Reason   string    `json:"reason"`
	Requests int64     `json:"requests"`
	Samples  int64     `json:"samples"`
	Last     []refusal `json:"last"`
}

// rejected serves the last refusals of the doors; door and reason select some.
func (in *Ingest) rejected(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	all := []refusals{}
	for _, x := range in.shared.Rejected.List() {
		if d := query.Get("door"); d != "" && d != x.Door {
			continue
		}
		if reason := query.Get("reason"); reason != "" && reason != x.Reason {
			continue
		}
		row := refusals{Door: x.Door, Reason: x.Reason, Requests: x.Requests, Samples: x.Samples}
		for _, last := range x.Last {
			row.Last = append(row.Last, newRefusal(last))
		}
		all = append(all, row)
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(struct { // fails only if the client has disconnected
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{"success", struct {
		Since    time.Time  `json:"since"`
		Rejected []refusals `json:"rejected"`
	}{in.shared.Rejected.Since().UTC(), all}})
}

func newRefusal(x door.Refusal) refusal {
	f := refusal{Time: x.Time.UTC(), Samples: x.Samples, Series: x.Series, Detail: x.Detail}
	if x.T != 0 && x.T > minShown && x.T < maxShown {
		t := time.UnixMilli(x.T).UTC()
		f.At = &t
	}
	return f
}

// Bounds of the times that JSON can show, in Unix milliseconds: years 0 to 9999.
const (
	minShown = -62_167_219_200_000
	maxShown = 253_402_300_800_000
)
