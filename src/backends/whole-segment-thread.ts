// The module of the threads that look at closed segments ahead of who reads a log (segment-threads.ts).
import { answerQuestions, nodeEnv } from "../env/node.ts";
import { lookForWhole, type WholeQuestion } from "./whole-segment.ts";

answerQuestions((question) => lookForWhole(nodeEnv.fs, question as WholeQuestion));
