package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/common/config"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of the work with passwords. A comparison takes tens of milliseconds of
// a processor by design: one runs at a time, some wait, and what is more is
// refused rather than kept.
const (
	maxPasswordsRemembered = 1000 // right ones, and as many wrong ones
	maxLoginsWaiting       = 64
)

// errLoginsBusy is returned when too many unknown credentials wait to be
// checked.
var errLoginsBusy = errors.New("too many logins are being checked, try again later")

// passwords compares passwords with bcrypt hashes and remembers the outcomes,
// which hold whoever's the hash is and whenever the file with it was read. It
// is safe for concurrent use.
type passwords struct {
	slot    chan struct{} // held while a comparison runs
	waiting atomic.Int64

	mu    sync.Mutex
	right map[passwordKey]struct{}
	wrong map[passwordKey]struct{}
}

type passwordKey [sha256.Size]byte

func newPasswords() *passwords {
	return &passwords{slot: make(chan struct{}, 1), right: make(map[passwordKey]struct{}), wrong: make(map[passwordKey]struct{})}
}

// strangerHash is compared with the passwords of users that do not exist, so
// that they take as long as others.
var strangerHash = sync.OnceValue(func() config.Secret {
	hash, err := bcrypt.GenerateFromPassword([]byte("nobody"), bcrypt.DefaultCost)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return config.Secret(hash)
})

// ofUser reports whether a password is that of a user.
func (p *passwords) ofUser(ctx context.Context, users map[string]config.Secret, name, password string) (bool, error) {
	hash, exists := users[name]
	if !exists {
		hash = strangerHash()
	}
	ok, err := p.match(ctx, hash, password)
	return ok && exists, err
}

// ofAny reports whether a password is that of any user.
func (p *passwords) ofAny(ctx context.Context, users map[string]config.Secret, password string) (bool, error) {
	names := make([]string, 0, len(users))
	for name, hash := range users {
		if right, known := p.remembered(keyOf(hash, password)); known && right {
			return true, nil
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if ok, err := p.match(ctx, users[name], password); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func keyOf(hash config.Secret, password string) passwordKey {
	b := append([]byte(hash), 0)
	return sha256.Sum256(append(b, password...))
}

func (p *passwords) match(ctx context.Context, hash config.Secret, password string) (bool, error) {
	key := keyOf(hash, password)
	if right, known := p.remembered(key); known {
		return right, nil
	}
	if p.waiting.Add(1) > maxLoginsWaiting {
		p.waiting.Add(-1)
		return false, errLoginsBusy
	}
	defer p.waiting.Add(-1)
	select {
	case p.slot <- struct{}{}:
		defer func() { <-p.slot }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if right, known := p.remembered(key); known { // another request found out meanwhile
		return right, nil
	}
	right := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	p.remember(key, right)
	return right, nil
}

func (p *passwords) remembered(key passwordKey) (right, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.right[key]; ok {
		return true, true
	}
	_, ok := p.wrong[key]
	return false, ok
}

func (p *passwords) remember(key passwordKey, right bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.wrong
	if right {
		m = p.right
	}
	if len(m) >= maxPasswordsRemembered {
		clear(m)
	}
	m[key] = struct{}{}
}
