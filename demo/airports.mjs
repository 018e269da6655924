// The demo's data and actors: real flights of the United States in 2001 (package vega-datasets), one persistent actor an
// airport. The same fold is written here a second time, directly over the data, to compare the actors' states with.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { persistentActor } from "../dist/index.js";

/** Every departure and landing by airport, in the order of the data: the k-th is what the actor's k-th event must be. */
export function movementsByAirport() {
  const path = fileURLToPath(new URL("../node_modules/vega-datasets/data/flights-20k.json", import.meta.url));
  const flights = JSON.parse(readFileSync(path, "utf8"));
  const movements = new Map();
  const add = (airport, movement) => {
    if (!movements.has(airport)) movements.set(airport, []);
    movements.get(airport).push(movement);
  };
  for (const { date, delay, distance, origin, destination } of flights) {
    add(origin, { kind: "depart", date, delay, distance, other: destination });
    add(destination, { kind: "land", date, delay, distance, other: origin });
  }
  return movements;
}

const empty = () => ({ departures: 0, landings: 0, delayMinutes: 0, worstDelay: 0, miles: 0, routes: {} });

function withMovement(state, { delay, distance, other }) {
  return {
    ...state,
    delayMinutes: state.delayMinutes + delay,
    worstDelay: Math.max(state.worstDelay, delay),
    miles: state.miles + distance,
    routes: { ...state.routes, [other]: (state.routes[other] ?? 0) + 1 },
  };
}

/** The actor: what is stored, and what may be asked. */
export const airport = persistentActor(
  {
    type: "airport",
    initial: empty,
    events: {
      departed: (state, flight) => ({ ...withMovement(state, flight), departures: state.departures + 1 }),
      landed: (state, flight) => ({ ...withMovement(state, flight), landings: state.landings + 1 }),
    },
    snapshot: { everyEvents: 100 },
  },
  {
    depart: (_state, flight, ctx) =>
      ctx.persist("departed", flight).reply((after) => after.departures + after.landings),
    land: (_state, flight, ctx) => ctx.persist("landed", flight).reply((after) => after.departures + after.landings),
    movements: (state, _command, ctx) => ctx.reply(state.departures + state.landings),
  },
);

/** The state after the first `count` movements, computed from the data alone: no actor, no journal. */
export function stateFromData(movements, count) {
  const state = empty();
  for (const { kind, delay, distance, other } of movements.slice(0, count)) {
    if (kind === "depart") state.departures += 1;
    else state.landings += 1;
    state.delayMinutes += delay;
    state.worstDelay = Math.max(state.worstDelay, delay);
    state.miles += distance;
    state.routes[other] = (state.routes[other] ?? 0) + 1;
  }
  return state;
}
