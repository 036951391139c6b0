package main

import (
	"context"
	"errors"
)

func gokaGroup(s sideSpec) string { return s.Name + "-goka" }

func runGoka(context.Context, sideSpec) error { return errors.New("later") }
