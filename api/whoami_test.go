package api

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
)

// TestWhoamiTellsWhatAdminPathsAnswer: it says that a client is an administrator
// exactly where its POST to an admin path is let through.
func TestWhoamiTellsWhatAdminPathsAnswer(t *testing.T) {
	own := []string{"Sec-Fetch-Site", "same-origin"}
	for _, enabled := range []bool{false, true} {
		asked := 0
		s := newTestServer(t, Options{Doors: countingDoors(&asked, "/api/v1/admin/flush"), Hosts: []string{"tsdb.lan"}, EnableAdmin: enabled})
		for _, c := range []struct {
			peer, host string
			header     []string
		}{
			{local, "127.0.0.1:9201", own}, {local, "localhost", own}, {local, "tsdb.lan", own}, {local, "unknown.example", own},
			{local, "127.0.0.1:9201", append([]string{"X-Forwarded-For", "192.0.2.1"}, own...)}, {local, "127.0.0.1:9201", []string{"Sec-Fetch-Site", "cross-site"}},
			{remote, "127.0.0.1:9201", own}, {remote, "tsdb.lan:9201", own}, {remote, "tsdb.lan", nil},
		} {
			asked = 0
			send(s, c.peer, request("POST", "/api/v1/admin/flush", c.host, c.header...))
			var answer struct{ Data whoamiView }
			w := send(s, c.peer, request("GET", "/api/v1/status/whoami", c.host, c.header...))
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			if answer.Data.Admin != (asked == 1) || answer.Data.Authentication || answer.Data.User != "" {
				t.Errorf("enabled %v, peer %s, host %s, %v: %+v, and %d requests are let through", enabled, c.peer, c.host, c.header, answer.Data, asked)
			}
		}
	}
}

func TestWhoamiNamesTheUser(t *testing.T) {
	s := newTestServer(t, Options{WebConfigFile: usersFile(t)})
	r := request("GET", "/api/v1/status/whoami", "127.0.0.1")
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("without credentials: %d", w.Code)
	}
}
