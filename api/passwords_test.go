package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/common/config"
	"golang.org/x/crypto/bcrypt"
)

func hashOf(t *testing.T, password string) config.Secret {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return config.Secret(hash)
}

func TestPasswordsOfUsersAndOfAny(t *testing.T) {
	p := newPasswords()
	users := map[string]config.Secret{"ann": hashOf(t, "a"), "bob": hashOf(t, "b")}
	for range 2 {
		for _, c := range []struct {
			user, password string
			want           bool
		}{{"ann", "a", true}, {"bob", "b", true}, {"ann", "b", false}, {"eve", "a", false}, {"eve", "nobody", false}, {"", "nobody", false}, {"ann", "", false}} {
			if ok, err := p.ofUser(t.Context(), users, c.user, c.password); ok != c.want || err != nil {
				t.Errorf("%s %q: %v, %v", c.user, c.password, ok, err)
			}
		}
		for password, want := range map[string]bool{"a": true, "b": true, "c": false, "": false} {
			if ok, err := p.ofAny(t.Context(), users, password); ok != want || err != nil {
				t.Errorf("any %q: %v, %v", password, ok, err)
			}
		}
	}
	if ok, _ := p.ofUser(t.Context(), map[string]config.Secret{"ann": hashOf(t, "other")}, "ann", "a"); ok {
		t.Error("a changed password is still the old one")
	}
}

// TestConcurrentLoginsAreBounded: guessing passwords takes a bounded part of the
// CPU: one comparison runs, some wait, the rest are refused, and users with cached
// credentials do not wait.
func TestConcurrentLoginsAreBounded(t *testing.T) {
	p := newPasswords()
	users := map[string]config.Secret{"ann": hashOf(t, "a")}
	if ok, err := p.ofUser(t.Context(), users, "ann", "a"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	p.slot <- struct{}{} // a comparison that takes its time
	ctx, cancel := context.WithCancel(t.Context())
	var guesses sync.WaitGroup
	turnedAway := make(chan error, 2*maxLoginsWaiting)
	for i := range 2 * maxLoginsWaiting {
		guesses.Go(func() {
			_, err := p.ofUser(ctx, users, "ann", fmt.Sprint("guess", i))
			turnedAway <- err
		})
	}
	for range maxLoginsWaiting {
		if err := <-turnedAway; !errors.Is(err, errLoginsBusy) {
			t.Fatalf("got %v", err)
		}
	}
	if ok, err := p.ofUser(t.Context(), users, "ann", "a"); !ok || err != nil {
		t.Errorf("a known login waits for guesses: %v, %v", ok, err)
	}
	cancel()
	guesses.Wait()
	<-p.slot
	if n := p.waiting.Load(); n != 0 {
		t.Errorf("%d places are lost", n)
	}
	for i := range 2 * maxPasswordsRemembered {
		p.remember(keyOf("hash", fmt.Sprint(i)), i%2 == 0)
	}
	if len(p.right) > maxPasswordsRemembered || len(p.wrong) > maxPasswordsRemembered {
		t.Errorf("%d and %d are remembered", len(p.right), len(p.wrong))
	}
}
